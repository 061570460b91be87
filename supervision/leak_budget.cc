#include "supervision/leak_budget.h"

namespace sluice {
namespace {

/// How much more than `base` is held. The first known count becomes the base.
std::uint32_t growth(std::uint32_t& base, std::uint32_t held) {
  if (base == 0) base = held;
  return held > base ? held - base : 0;
}

std::string grown(std::uint32_t held, const char* what, std::uint32_t base, std::uint32_t budget) {
  return "leaks: it holds " + std::to_string(held) + " " + what + ", " +
         std::to_string(held - base) + " more than when it began to serve, and " +
         std::to_string(budget) + " more are borne";
}

}  // namespace

void LeakBudget::begin(TimePoint now) {
  begun_ = now;
  descriptors_ = threads_ = 0;
}

std::optional<LeakBudget::Leak> LeakBudget::told(std::uint32_t descriptors,
                                                 std::uint32_t threads,
                                                 TimePoint now) {
  std::uint32_t more_descriptors = growth(descriptors_, descriptors);
  std::uint32_t more_threads = growth(threads_, threads);
  Leak leak;
  if (more_descriptors > options_.descriptors)
    leak.why = grown(descriptors, "descriptors", descriptors_, options_.descriptors);
  else if (more_threads > options_.threads)
    leak.why = grown(threads, "threads", threads_, options_.threads);
  else
    return std::nullopt;
  leak.early = now - begun_ < options_.young;
  leak.can_wait =
      more_descriptors / 2 < options_.descriptors && more_threads / 2 < options_.threads;
  return leak;
}

}  // namespace sluice
