#include "base/hash.h"

#include "base/check.h"

#include <xxhash.h>

namespace sluice {

std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

Hash128 hash128(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

struct Hasher::State {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> xxh3{XXH3_createState()};
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(state_->xxh3 != nullptr);
  XXH3_64bits_reset(state_->xxh3.get());
}

Hasher::~Hasher() = default;

void Hasher::add(const void* data, std::size_t size) {
  XXH3_64bits_update(state_->xxh3.get(), data, size);
}

std::uint64_t Hasher::value() const {
  return XXH3_64bits_digest(state_->xxh3.get());
}

}  // namespace sluice
