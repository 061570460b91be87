// What each level of the degradation ladder means for a new request.
#pragma once

#include "admission/decision.h"
#include "admission/degradation_board.h"
#include "base/clock.h"
#include "base/priority_class.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// What a request asks for, as far as degradation minds.
struct DegradationAsk {
  PriorityClass priority_class = PriorityClass::realtime;
  bool core = false;     ///< its tenant may use the core API
  bool allows = true;    ///< a lesser answer: its tenant and itself do
  bool choices = false;  ///< more than one, given or to choose from (n, best_of)
  std::uint32_t logprobs = 0;
  bool has_cheaper = false;  ///< its model has one that may answer for it
};

/// In what an answer may be less than it was to be, as it is called in headers and metrics.
inline constexpr std::array<std::string_view, 3> kLessenings{"trimmed", "window", "cheaper"};

/// What is done to one that is let in; also what its answer says of it.
struct Degradation {
  std::uint32_t level = 0;  ///< 0: nothing
  DegradationTerm reason = DegradationTerm::ttft;
  bool trims = false;    ///< `trimmed` says how long each of its answers may be
  bool cheaper = false;  ///< the cheaper model answers
  /// Long prompts are seen through a window, for no cheaper model answers.
  bool localizes = false;

  /// Which of `kLessenings` there are.
  [[nodiscard]] std::array<bool, kLessenings.size()> lessenings() const {
    return {trims, localizes, cheaper};
  }
};

/// Their names, with ';' between them: "trimmed;cheaper".
std::string lessened_text(const Degradation& degradation);

/// What is decided when a request comes, and holds until it ends: an answer that has begun is never
/// degraded afterwards.
///
///   level  adds to the one below
///   1      class low is refused
///   2      answers are trimmed; several choices and more than 5 log probabilities are refused
///   3      the cheaper model answers, where there is one; else long prompts are seen through a
///          window
///   4      class batch is refused as well
///   5      whoever does not use the core API is refused, if somebody may use it; else as 4
///   6      everybody is refused; as 5 if it is for want of lanes: then there is nothing to
///   protect,
///          and whoever finds no lane is told so elsewhere, with the time until the next trial
///
/// Who does not allow a lesser answer is refused where others get one. What 4 to 6 have refused
/// returns by a tenth a second (`DegradationBoard::lets_return`). Any thread.
class DegradationEffects {
 public:
  struct Verdict {
    std::optional<Decision> refused;
    Degradation degradation;  ///< of one that is not
  };

  explicit DegradationEffects(DegradationBoard& board) : board_(board) {}

  /// Once for each request, when all of this is known.
  [[nodiscard]] Verdict judge(const DegradationAsk& ask, TimePoint now);
  /// What is certain before its body was read: no request of this tenant is let in.
  ///   best  class that it may have
  [[nodiscard]] std::optional<Decision> refuse_all(PriorityClass best,
                                                   bool core,
                                                   TimePoint now) const;

  /// Tokens that an answer may have which was to have `wanted`: batch half of them, realtime 1,024.
  [[nodiscard]] static std::uint32_t trimmed(PriorityClass priority_class, std::uint32_t wanted);
  /// For one whose answer would be less than it asks for, and who does not allow that.
  [[nodiscard]] Decision refuse_lesser(const Degradation& degradation, TimePoint now) const;

 private:
  /// The level in force; its reason is read after it.
  [[nodiscard]] std::uint32_t level() const;
  /// Says no until the level is below `from`.
  ///   what  is refused: "requests of class batch are not let in"
  [[nodiscard]] Decision refuse(std::uint32_t level,
                                DegradationTerm reason,
                                std::uint32_t from,
                                const std::string& what,
                                TimePoint now) const;

  DegradationBoard& board_;
};

}  // namespace sluice
