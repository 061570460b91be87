// What a tenant has asked for since it was first read, in numbers that only grow.
#pragma once

#include "admission/decision.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Counted where it happens, on any thread, without a lock.
class TenantFigures {
 public:
  struct Values {
    std::uint64_t admitted = 0;                      ///< requests
    std::array<std::uint64_t, kRefusals> refused{};  ///< requests, by `Refusal`
    std::uint64_t prompt_tokens = 0;                 ///< of prompts that came to run, each once
    std::uint64_t generated_tokens = 0;              ///< taken from lanes
  };

  void count(const Decision& decision) {
    auto& counter =
        decision.refused ? refused_[static_cast<std::size_t>(*decision.refused)] : admitted_;
    add(counter, 1);
  }
  void count_prompts(std::uint64_t tokens) { add(prompt_tokens_, tokens); }
  void count_generated(std::uint64_t tokens) { add(generated_tokens_, tokens); }

  [[nodiscard]] Values values() const {
    Values values{admitted_, {}, prompt_tokens_, generated_tokens_};
    for (std::size_t i = 0; i < kRefusals; ++i)
      values.refused[i] = refused_[i];
    return values;
  }

 private:
  using Counter = std::atomic<std::uint64_t>;
  static void add(Counter& counter, std::uint64_t n) {
    counter.fetch_add(n, std::memory_order_relaxed);
  }

  Counter admitted_{0};
  std::array<Counter, kRefusals> refused_{};
  Counter prompt_tokens_{0};
  Counter generated_tokens_{0};
};

}  // namespace sluice
