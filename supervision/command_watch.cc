#include "supervision/command_watch.h"

#include <utility>

namespace sluice {

void CommandWatch::sent(Command command) {
  sent_ += 1;
  unheard_.begin();
  (command == Command::work ? resting_ : keeping_).begin();
}

std::string CommandWatch::told(const Beat& beat, const Given& given, TimePoint now) {
  heard_ = beat.commands;
  bool rests = beat.computing == 0 && !beat.in_step;
  if (resting_.told(rests && given.may_run, now))
    return "rests although it was given " + std::to_string(given.sequences) + " sequences";
  // During a step it reads nothing.
  bool stepped = std::exchange(steps_, beat.steps) != beat.steps;
  if (!stepped && beat.in_step) return {};
  std::uint32_t kept = beat.computing + beat.paused;
  if (keeping_.told(kept > given.sequences, now))
    return "keeps " + std::to_string(kept) + " sequences, it was left " +
           std::to_string(given.sequences);
  if (unheard_.told(!heard_all(), now))
    return "has carried out " + std::to_string(heard_) + " commands, it was sent " +
           std::to_string(sent_);
  return {};
}

bool CommandWatch::Odd::told(bool odd, TimePoint now) {
  if (!odd) {
    beats_ = 0;
    return false;
  }
  if (beats_ == 0) since_ = now;
  // By count, and by time, too: beats from before the command was given may have waited for us all
  // together.
  ++beats_;
  return beats_ > kBeatsBorne && now - since_ >= kBorne;
}

}  // namespace sluice
