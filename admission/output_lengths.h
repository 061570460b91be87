// How long answers turn out to be.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace sluice {

/// Clients ask for at most so many tokens, and most answers end sooner. What is expected is what
/// 70 % of the last answers of the same tenant, model and route stayed within. Thread-safe; memory
/// is bounded by the number of these.
class OutputLengths {
 public:
  /// Who asks, what for, and in which form.
  struct Kind {
    std::uint32_t tenant = 0;
    std::string model;
    bool is_chat = false;
    auto operator<=>(const Kind&) const = default;
  };

  /// Tokens that an answer of that kind will probably have, at most `limit`.
  [[nodiscard]] std::uint32_t expected(const Kind& kind, std::uint32_t limit) const;
  /// An answer of that kind has ended by itself with so many.
  void add(const Kind& kind, std::uint32_t tokens);

 private:
  static constexpr std::size_t kRemembered = 64;
  static constexpr std::size_t kEnough = 8;
  /// What is taken for an answer's length while too few are known.
  static constexpr std::uint32_t kUnknown = 256;
  static constexpr std::size_t kKindsMax = 4096;

  struct Past {
    std::array<std::uint32_t, kRemembered> tokens{};
    std::size_t count = 0;  ///< of all that ended
    std::uint32_t expected = kUnknown;
  };

  mutable std::mutex mutex_;
  std::map<Kind, Past> past_;
};

}  // namespace sluice
