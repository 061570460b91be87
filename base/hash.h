// Stable hashes: the same bytes give the same number in every build and on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace sluice {

/// Mixes 64 bits so that each input bit moves about half of the output bits.
///   Source: the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// Hash of a byte string (XXH3-64).
std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t seed = 0);
inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0) {
  return hash_bytes(bytes.data(), bytes.size(), seed);
}

/// 128 bits of a byte string: equal numbers stand for equal strings where nobody gains by strings
/// that were made to collide.
struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend bool operator==(const Hash128&, const Hash128&) = default;
};

/// Hash of a byte string (XXH3-128).
Hash128 hash128(std::string_view bytes);

/// The 64 bits of bytes that come in pieces: `value` is `hash_bytes` of all of them.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(const void* data, std::size_t size);
  [[nodiscard]] std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice
