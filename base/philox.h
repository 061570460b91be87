// Philox4x32-10: random numbers as a function of (key, counter), so that a draw can be repeated
// anywhere.
#pragma once

#include <array>
#include <cstdint>

namespace sluice {

/// Four uniform 32-bit words for a key and a counter.
///   Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key,
                                              std::uint64_t counter_low,
                                              std::uint64_t counter_high = 0) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
  auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  std::array<std::uint32_t, 4> x{
      low(counter_low), high(counter_low), low(counter_high), high(counter_high)};
  std::uint32_t key0 = low(key);
  std::uint32_t key1 = high(key);
  for (int round = 0; round < 10; ++round) {
    std::uint64_t product0 = kMultiplier0 * x[0];
    std::uint64_t product1 = kMultiplier1 * x[2];
    x = {high(product1) ^ x[1] ^ key0, low(product1), high(product0) ^ x[3] ^ key1, low(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return x;
}

/// A uniform number in [0, 1) with 53 bits, as a function of (key, counter).
constexpr double philox_uniform(std::uint64_t key, std::uint64_t counter) {
  auto words = philox(key, counter);
  std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

}  // namespace sluice
