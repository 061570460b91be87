// What the `hash` model says after any tokens: a known function of them, for tests, the simulator
// and the checker.
#pragma once

#include "base/hash.h"
#include "base/ids.h"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

inline constexpr std::int32_t kHashVocabulary = 257;  ///< 256 bytes and the end
inline constexpr TokenId kHashEos = 256;
inline constexpr std::int32_t kHashContext = 1 << 20;

/// The position, before `position`, whose value the value at `position` also depends on: so that a
/// damaged block shows wherever it lies, not only at the end. `position` > 0.
constexpr std::int32_t hash_look_back(std::int32_t position) {
  return static_cast<std::int32_t>(mix64(static_cast<std::uint64_t>(position)) %
                                   static_cast<std::uint64_t>(position));
}

/// The value of a token: of itself, its position, the value before it and one further back.
constexpr std::uint64_t hash_value(TokenId token,
                                   std::int32_t position,
                                   std::uint64_t previous,
                                   std::uint64_t further_back) {
  std::uint64_t here =
      std::uint64_t(static_cast<std::uint32_t>(token)) << 32 | static_cast<std::uint32_t>(position);
  return mix64(previous ^ mix64(here ^ mix64(further_back)));
}

/// The token that follows a value: the end once in 512, else a lower-case letter (52 of 64), a
/// space (10), a comma or a full stop.
constexpr TokenId hash_token(std::uint64_t value) {
  constexpr std::uint64_t kEndOnceIn = 512;
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz          ,.";
  std::uint64_t draw = mix64(value);
  if (draw % kEndOnceIn == 0) return kHashEos;
  return kLetters[(draw >> 32) % 64];
}

/// Follows one sequence, token by token. Work and memory: a constant for each token.
class HashChain {
 public:
  HashChain() = default;
  explicit HashChain(std::span<const TokenId> tokens) {
    for (TokenId token : tokens)
      push(token);
  }

  void push(TokenId token) {
    auto position = static_cast<std::int32_t>(values_.size());
    std::uint64_t previous = position == 0 ? 0 : values_.back();
    std::uint64_t further_back =
        position == 0 ? 0 : values_[static_cast<std::size_t>(hash_look_back(position))];
    values_.push_back(hash_value(token, position, previous, further_back));
  }
  /// The token that the model puts next. At least one token must have been pushed.
  [[nodiscard]] TokenId next() const { return hash_token(values_.back()); }
  /// `next()`, and pushes it.
  TokenId advance() {
    TokenId token = next();
    push(token);
    return token;
  }
  [[nodiscard]] std::size_t size() const { return values_.size(); }

 private:
  std::vector<std::uint64_t> values_;
};

/// The token that follows a sequence of at least one token. Work: its length.
inline TokenId hash_next_token(std::span<const TokenId> sequence_so_far) {
  return HashChain(sequence_so_far).next();
}

}  // namespace sluice
