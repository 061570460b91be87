#include "server/start_display.h"

#include "base/utf8.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kLogged = std::chrono::seconds(10);

std::string work_text(const LoadProgress& load) {
  auto counted = [&load](const char* what) {
    // The one that is being worked on.
    std::uint32_t tensor = std::min(load.tensors + 1, load.tensors_in_all);
    return std::string(what) + " tensor " + std::to_string(tensor) + " of " +
           std::to_string(load.tensors_in_all);
  };
  switch (load.work) {
    case LoadProgress::Work::reading:
      return "reading and hashing files";
    case LoadProgress::Work::checking:
      return counted("checking");
    case LoadProgress::Work::converting:
      return counted("converting");
    case LoadProgress::Work::none:
      break;
  }
  return "opening its files";
}

std::string phase_text(const LaneStatus& lane) {
  if (lane.state == LaneStatus::State::waiting) return "its worker ended and is started again";
  if (lane.state == LaneStatus::State::ready) return "about to serve";
  if (lane.phase == "load") return work_text(lane.load);
  if (lane.phase == "warm_up") return "computing a first prompt";
  if (lane.phase == "self_test") return "testing itself";
  return "starting a worker";
}

}  // namespace

std::string start_text(const LaneStatus& lane, double bytes_per_second, std::size_t width) {
  if (lane.phase == "load" && lane.load.bytes_in_all > 0) {
    // The name comes last, since what is too long is cut.
    const std::string what = work_text(lane.load) + " (" + lane.model + ")";
    return progress_text(lane.load.bytes, lane.load.bytes_in_all, bytes_per_second, what, width);
  }
  const std::string what = lane.model + ": " + phase_text(lane);
  return what.substr(0, valid_utf8_prefix(std::string_view(what).substr(0, width)));
}

StartDisplay::StartDisplay(std::shared_ptr<LogSink> sink, const Clock& clock)
    : sink_(std::move(sink)),
      clock_(clock),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      shown_(clock.now()) {}

StartDisplay::~StartDisplay() {
  sink_->keep_below("");
}

void StartDisplay::show(const LaneStatus& lane) {
  if (lane.model != model_) {
    model_ = lane.model;
    meter_ = {};
  }
  const TimePoint now = clock_.now();
  if (lane.phase == "load") meter_.add(now, lane.load.bytes);
  if (now - shown_ < (is_terminal_ ? kRedraw : kLogged)) return;
  shown_ = now;
  if (is_terminal_) {
    // One column stays free: at the last one some terminals begin a new line.
    const std::size_t width = terminal_width(STDERR_FILENO) - 1;
    sink_->keep_below(start_text(lane, meter_.bytes_per_second(), width));
  } else {
    constexpr std::size_t kLineBytes = 300;
    spdlog::info("starting: {}", start_text(lane, meter_.bytes_per_second(), kLineBytes));
  }
}

}  // namespace sluice
