// Judges what requests give: the part of the checker that counts tokens and compares them.
#pragma once

#include "trace/checker.h"
#include "trace/run_state.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sluice::trace {

/// C3, C4, C18 and C19; of C2, C5 and C16 that nobody gives tokens, or is started, who must not.
/// Keeps what sequences have given and what they were granted.
class OutputJudge {
 public:
  /// `reference` may be null.
  OutputJudge(RunState& run, const Reference* reference) : run_(run), reference_(reference) {}

  void on(const Emitted& emitted);
  void on(const Granted& granted);
  void on(const Read& read);
  void on(const Started& started);

 private:
  struct Reading {
    std::size_t bytes = 0;
    bool finished = false;
  };

  void check_weights(const Emitted& emitted, const RunState::Sequence& sequence);
  void check_resumed(const Started& started, const RunState::Sequence& sequence);
  void compare(const Emitted& emitted, const std::vector<TokenId>& expected);

  RunState& run_;
  const Reference* reference_;
  std::map<std::pair<RequestNumber, std::uint32_t>, Reading> readings_;
  std::map<RequestNumber, std::uint64_t> read_from_;  ///< weights; in tests, like `readings_`
};

}  // namespace sluice::trace
