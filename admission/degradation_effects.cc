#include "admission/degradation_effects.h"

#include <algorithm>
#include <string>

namespace sluice {
namespace {

constexpr std::uint32_t kShedLow = 1;
constexpr std::uint32_t kTrim = 2;
constexpr std::uint32_t kCheaper = 3;
constexpr std::uint32_t kCritical = DegradationLadder::kCritical;
constexpr std::uint32_t kCoreOnly = 5;
constexpr std::uint32_t kSurvival = DegradationLadder::kSurvival;

constexpr std::uint32_t kLogprobsMost = 5;
constexpr std::uint32_t kRealtimeMost = 1024;

/// From which level on nobody of the class is let in.
std::uint32_t refused_from(PriorityClass priority_class, bool core, bool has_core) {
  if (priority_class == PriorityClass::low) return kShedLow;
  if (priority_class == PriorityClass::batch) return kCritical;
  return has_core && !core ? kCoreOnly : kSurvival;
}

std::string refused_class(std::uint32_t from, PriorityClass priority_class) {
  switch (from) {
    case kCoreOnly:
      return "only requests of the core API are let in";
    case kSurvival:
      return "nothing new is let in";
    default:
      return "requests of class " + std::string(to_string(priority_class)) + " are not let in";
  }
}

}  // namespace

std::string lessened_text(const Degradation& degradation) {
  std::string text;
  auto lessenings = degradation.lessenings();
  for (std::size_t i = 0; i < lessenings.size(); ++i) {
    if (!lessenings[i]) continue;
    if (!text.empty()) text += ';';
    text += kLessenings[i];
  }
  return text;
}

std::uint32_t DegradationEffects::level() const {
  std::uint32_t level = board_.level();
  bool refuses_all = level < kSurvival || board_.reason() == DegradationTerm::host_memory;
  return refuses_all ? level : kCoreOnly;
}

Decision DegradationEffects::refuse(std::uint32_t level,
                                    DegradationTerm reason,
                                    std::uint32_t from,
                                    const std::string& what,
                                    TimePoint now) const {
  auto seconds = std::chrono::ceil<std::chrono::seconds>(board_.until(from - 1, now));
  return {Refusal::degraded,
          "The server is overloaded (degradation level " + std::to_string(level) + ", " +
              std::string(to_string(reason)) + "): " + what + ".",
          std::max(std::chrono::seconds(1), seconds)};
}

std::optional<Decision> DegradationEffects::refuse_all(PriorityClass best,
                                                       bool core,
                                                       TimePoint now) const {
  std::uint32_t now_at = level();
  std::uint32_t from = refused_from(best, core, board_.has_core());
  if (now_at < from) return std::nullopt;
  return refuse(now_at, board_.reason(), from, refused_class(from, best), now);
}

DegradationEffects::Verdict DegradationEffects::judge(const DegradationAsk& ask, TimePoint now) {
  Verdict verdict;
  std::uint32_t now_at = level();
  DegradationTerm reason = board_.reason();
  auto refused = [&](std::uint32_t from, const std::string& what) {
    verdict.refused = refuse(now_at, reason, from, what, now);
    return verdict;
  };
  std::uint32_t from = refused_from(ask.priority_class, ask.core, board_.has_core());
  if (now_at >= from) return refused(from, refused_class(from, ask.priority_class));
  if (now_at >= kTrim && ask.choices) return refused(kTrim, "more than one choice is not computed");
  if (now_at >= kTrim && ask.logprobs > kLogprobsMost)
    return refused(kTrim, "more than 5 log probabilities a token are not computed");
  // Whoever does not allow it keeps his model, which has room now that others leave it.
  bool cheaper = now_at >= kCheaper && ask.has_cheaper && ask.allows;
  if (from >= kCritical && !board_.lets_return(from, now)) {
    verdict.refused = {Refusal::degraded,
                       "The server was overloaded and lets requests return little by little.",
                       std::chrono::seconds(1)};
    return verdict;
  }
  bool localizes = now_at >= kCheaper && !ask.has_cheaper;
  if (now_at >= kTrim) verdict.degradation = {now_at, reason, true, cheaper, localizes};
  return verdict;
}

std::uint32_t DegradationEffects::trimmed(PriorityClass priority_class, std::uint32_t wanted) {
  if (priority_class == PriorityClass::realtime) return std::min(wanted, kRealtimeMost);
  return (wanted + 1) / 2;
}

Decision DegradationEffects::refuse_lesser(const Degradation& degradation, TimePoint now) const {
  const char* what =
      degradation.localizes ? "long prompts are seen through a window" : "answers are trimmed";
  return refuse(degradation.level,
                degradation.reason,
                degradation.localizes ? kCheaper : kTrim,
                std::string(what) + ", which this request or its tenant does not allow",
                now);
}

}  // namespace sluice
