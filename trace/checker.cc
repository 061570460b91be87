#include "trace/checker.h"

#include "trace/fields.h"
#include "trace/quota_judge.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace sluice::trace {
namespace {

constexpr std::size_t kViolationsKept = 100;
/// A front that lives writes something at least so often; what is longer was not its own time.
constexpr Duration kSilenceMax = std::chrono::milliseconds(100);
constexpr std::size_t kEndedKept = 65'536;
constexpr Duration kConvictionLasts = std::chrono::hours(1);
constexpr std::size_t kConvictionsKept = 4096;
constexpr std::size_t kEndedWorkersKept = 16;

// --- sentences -----------------------------------------------------------------------------------

std::string number(std::uint64_t value) {
  return std::to_string(value);
}
std::string name(RequestNumber request) {
  return "request " + number(request.value);
}
std::string name(SequenceId sequence) {
  return "sequence " + number(sequence.value);
}
std::string name(LaneId lane) {
  return "lane " + number(lane.value);
}
std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(duration).count());
  return text;
}

}  // namespace

std::string to_string(const Violation& violation) {
  return violation.invariant + " at " + seconds(violation.at.time_since_epoch()) + ", event " +
         number(violation.event) + ": " + violation.what;
}

class Checker::Impl {
 public:
  explicit Impl(const Reference* reference) : reference_(reference) {}

  void take(const Event& event) {
    ++events_;
    if (events_ > 1 && now_ - event.at > limits_.skew)
      violate("C1",
              "the trace goes back in time by " + seconds(now_ - event.at) +
                  ", so its order cannot be trusted");
    // A front that was stopped says nothing meanwhile, and has had no time for anything.
    awake_ += std::clamp(event.at - now_, Duration::zero(), kSilenceMax);
    now_ = std::max(now_, event.at);
    std::visit([this](const auto& body) { on(body); }, event.body);
  }

  std::vector<Violation> violations;
  std::uint64_t violations_in_all = 0;

  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::size_t remembered() const {
    return requests_.size() + sequences_.size() + lanes_.size() + quotas_.inside();
  }

 private:
  struct Request {
    bool accepted = false;
    bool refused = false;
    bool convicted = false;
    std::uint32_t count = 0;  ///< sequences
    std::uint64_t tokens = 0;
    std::uint64_t weights = 0;  ///< that its first tokens came from; 0: none have come
    TimePoint accepted_at;
    std::vector<SequenceId> sequences;  ///< those offered
  };
  struct Sequence {
    RequestNumber request;
    Epoch epoch = 0;
    std::uint32_t emitted = 0;
    std::optional<std::uint32_t> granted;  ///< none: as many as it has
    bool finished = false;
    std::uint32_t retries = 0;
    std::uint32_t preempted = 0;
    std::uint32_t suspected = 0;
    std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
    std::uint32_t in_a_row = 0;     ///< ends of workers since it was last cleared
    bool convicted = false;
    std::vector<std::pair<LaneId, std::uint64_t>> ended;  ///< workers that it may have ended
    std::set<SequenceId> equals;                          ///< choices that share its suspicion
    std::set<std::uint64_t> weights;  ///< of the lanes that it was started on under this epoch
  };
  struct Running {
    Epoch epoch = 0;
    std::uint32_t blocks = 0;
    bool probe = false;
    bool alone = false;  ///< twice suspected: nothing may run beside it
  };
  /// The end of a worker that counts against its lane.
  struct Charge {
    TimePoint at;
    std::uint64_t worker = 0;
  };
  struct Lane {
    std::uint64_t worker = 0;  ///< 0: none is alive
    bool ready = false;
    std::uint32_t slots = 0;
    std::uint32_t blocks = 0;
    std::uint64_t weights = 0;
    std::map<SequenceId, Running> running;
    std::uint64_t blocks_used = 0;
    std::uint32_t users = 0;  ///< of `running`, without probes
    std::uint32_t alone = 0;  ///< of `running`, that must be alone
    std::optional<Gate> gate;
    std::optional<Gate> gate_before;  ///< what others may still know
    TimePoint gate_since;
    bool quarantined = false;
    TimePoint trial_at;               ///< while quarantined
    Duration rest{};                  ///< how long it has to rest, or had to before its trial
    bool trial = false;               ///< a worker has been started since it was quarantined
    bool trial_failed = false;        ///< by its own fault
    std::deque<Charge> charged;       ///< ends of workers within the period
    std::set<std::uint64_t> permits;  ///< probes' numbers that are leased
  };

  // --- a request ---------------------------------------------------------------------------------

  void on(const Limits& limits) {
    if (events_ > 1) violate("C1", "the limits come after the first event");
    limits_ = limits;
    quotas_.on(limits);
  }

  void on(const TenantLimits& limits) { quotas_.on(limits, now_); }
  void on(const Claimed& claimed) { quotas_.on(claimed); }
  void on(const Settled& settled) { quotas_.on(settled); }

  void on(const Accepted& accepted) {
    RequestNumber id = accepted.request;
    if (!ended_.contains(id)) {
      Request& request = requests_[id];
      if (request.refused) violate("C2", name(id) + " is accepted after it was refused");
      if (!request.accepted) request.accepted_at = now_;
      request.accepted = true;
      request.count = accepted.sequences;
    }
    // With several threads a request that its client gave up may end just before it is let in:
    // then it has to be released like any other.
    reserve(id, accepted.tokens, true);
  }

  void on(const Registered& registered) {
    auto found = requests_.find(registered.request);
    if (!ended_.contains(registered.request) &&
        (found == requests_.end() || !found->second.accepted))
      violate("C6", name(registered.request) + " registers again and was never accepted");
    reserve(registered.request, registered.tokens, false);
  }

  void on(const Refused& refused) {
    if (ended_.contains(refused.request)) return;
    Request& request = requests_[refused.request];
    request.refused = true;
    if (reserved_.contains(refused.request))
      violate("C2", name(refused.request) + " is refused and has a reservation");
    for (SequenceId id : request.sequences) {
      const Sequence& sequence = sequences_.at(id);
      if (sequence.emitted > 0)
        violate("C2",
                name(refused.request) + " is refused after " + number(sequence.emitted) +
                    " tokens of " + name(id));
    }
  }

  void on(const Ended& ended) {
    if (ended_.contains(ended.request)) {
      violate(
          "C1",
          name(ended.request) + " ends a second time, as " + std::string(name_of(ended.outcome)));
      return;
    }
    auto found = requests_.find(ended.request);
    if (found != requests_.end()) {
      Request& request = found->second;
      if (ended.outcome == Outcome::completed) check_completed(ended.request, request);
      if (request.convicted != (ended.outcome == Outcome::poison))
        violate("C16",
                name(ended.request) + " ends as " + std::string(name_of(ended.outcome)) +
                    (request.convicted ? " and was convicted" : " and was not convicted"));
      for (SequenceId id : request.sequences)
        sequences_.erase(id);
      requests_.erase(found);
    }
    ended_.insert(ended.request);
    ended_order_.push_back(ended.request);
    if (ended_order_.size() > kEndedKept) {
      ended_.erase(ended_order_.front());
      ended_order_.pop_front();
    }
  }

  void check_completed(RequestNumber id, const Request& request) {
    if (request.refused) violate("C2", name(id) + " is completed and was refused");
    if (!request.accepted) violate("C1", name(id) + " is completed and was never accepted");
    if (request.accepted && request.sequences.size() != request.count)
      violate("C3",
              name(id) + " is completed and " + number(request.sequences.size()) + " of its " +
                  number(request.count) + " sequences were offered");
    for (SequenceId sequence : request.sequences)
      if (!sequences_.at(sequence).finished)
        violate("C3", name(id) + " is completed and " + name(sequence) + " is not finished");
  }

  void on(const AdmissionBorn&) {
    reserved_.clear();
    tokens_ = 0;
    admission_born_ = awake_;
    admission_lives_ = true;
  }

  void on(const Released& released) {
    auto found = reserved_.find(released.request);
    if (found == reserved_.end()) {
      violate("C6", name(released.request) + " gives back what is not reserved for it");
      return;
    }
    if (!ended_.contains(released.request))
      violate("C6", name(released.request) + " is released and has not ended");
    tokens_ -= found->second;
    reserved_.erase(found);
  }

  void reserve(RequestNumber id, std::uint64_t tokens, bool first) {
    auto [entry, added] = reserved_.emplace(id, tokens);
    if (!added) {
      if (first) violate("C6", name(id) + " is accepted and is inside already");
      tokens_ -= std::exchange(entry->second, tokens);
    }
    tokens_ += tokens;
    // Those that register again were inside before: they may exceed what the new incarnation gave
    // away meanwhile.
    if (!first) return;
    if (limits_.requests != 0 && reserved_.size() > limits_.requests)
      violate("C6",
              name(id) + " is accepted, " + number(reserved_.size()) +
                  " are inside, the limit is " + number(limits_.requests));
    if (limits_.tokens != 0 && tokens_ > limits_.tokens)
      violate("C6",
              name(id) + " is accepted, " + number(tokens_) +
                  " tokens are reserved, the limit is " + number(limits_.tokens));
  }

  // --- a sequence --------------------------------------------------------------------------------

  void on(const Offered& offered) {
    if (ended_.contains(offered.request)) {
      violate("C1", name(offered.sequence) + " is offered, and its request has ended");
      return;
    }
    Request& request = requests_[offered.request];
    auto [entry, added] = sequences_.try_emplace(offered.sequence);
    Sequence& sequence = entry->second;
    if (added) {
      sequence.request = offered.request;
      request.sequences.push_back(offered.sequence);
    } else if (offered.epoch <= sequence.epoch) {
      violate("C5",
              name(offered.sequence) + " is offered under epoch " + number(offered.epoch) +
                  ", the last one was " + number(sequence.epoch));
    } else if (offered.why != Why::first && offered.why != Why::reader_back &&
               offered.replaces != sequence.epoch) {
      violate("C5",
              name(offered.sequence) + " is offered for what befell epoch " +
                  number(offered.replaces) + ", the current one is " + number(sequence.epoch));
    }
    if (sequence.finished) violate("C1", name(offered.sequence) + " is offered and has finished");
    if (sequence.convicted)
      violate("C16", name(offered.sequence) + " is offered again and was convicted");
    sequence.epoch = offered.epoch;
    sequence.weights.clear();
    if (offered.why == Why::retry) check_retry(offered, sequence);
    if (offered.why == Why::preempted && ++sequence.preempted > limits_.preemptions)
      violate("C20",
              name(offered.sequence) + " has given way " + number(sequence.preempted) +
                  " times, the limit is " + number(limits_.preemptions));
  }

  void check_retry(const Offered& offered, Sequence& sequence) {
    sequence.retries += 1;
    if (offered.attempt != sequence.retries)
      violate("C17",
              name(offered.sequence) + " is tried again as number " + number(offered.attempt) +
                  ", it is number " + number(sequence.retries));
    if (sequence.retries + 1 > limits_.attempts)
      violate("C17",
              name(offered.sequence) + " has " + number(sequence.retries + 1) +
                  " attempts, the limit is " + number(limits_.attempts));
    double allowed = std::max<double>(limits_.retries_min, limits_.retries_share * offered.running);
    if (offered.retries_active > allowed)
      violate("C17",
              number(offered.retries_active) + " retries are active while " +
                  number(offered.running) + " sequences run; allowed are " +
                  number(static_cast<std::uint64_t>(allowed)));
  }

  void on(const Emitted& emitted) {
    auto found = sequences_.find(emitted.sequence);
    if (found == sequences_.end()) {
      violate("C1", name(emitted.sequence) + " emits and was never offered, or its request ended");
      return;
    }
    Sequence& sequence = found->second;
    if (requests_.at(sequence.request).refused)
      violate("C2", name(emitted.sequence) + " emits and its request was refused");
    if (sequence.finished) violate("C3", name(emitted.sequence) + " emits after its end");
    if (requests_.at(sequence.request).accepted && !reserved_.contains(sequence.request) &&
        admission_lives_ && awake_ - admission_born_ > limits_.register_time)
      violate("C6",
              name(emitted.sequence) + " emits, and nothing is reserved for its request since " +
                  "admission was born " + seconds(awake_ - admission_born_) + " ago");
    if (emitted.epoch != sequence.epoch)
      violate("C5",
              name(emitted.sequence) + " takes tokens of epoch " + number(emitted.epoch) +
                  ", the current one is " + number(sequence.epoch));
    check_weights(emitted, sequence);
    if (emitted.first != sequence.emitted) {
      violate("C3",
              name(emitted.sequence) + " takes token " + number(emitted.first) + ", it has " +
                  number(sequence.emitted) +
                  (emitted.first < sequence.emitted ? ": doubled" : ": some are missing"));
    } else if (reference_) {
      std::uint64_t weights = requests_.at(sequence.request).weights;
      if (const auto* expected = reference_->tokens(emitted.sequence, weights))
        compare(emitted, *expected);
    }
    sequence.emitted = emitted.first + static_cast<std::uint32_t>(emitted.ids.size());
    sequence.finished = sequence.finished || emitted.finished;
    if (sequence.granted && sequence.emitted > *sequence.granted)
      violate("C19",
              name(emitted.sequence) + " has " + number(sequence.emitted) +
                  " tokens, its reader had room for " + number(*sequence.granted));
  }

  void on(const Granted& granted) {
    auto found = sequences_.find(granted.sequence);
    if (found == sequences_.end()) return;
    std::uint32_t before = found->second.granted.value_or(0);
    if (granted.tokens < before)
      violate("C19",
              name(granted.sequence) + " is granted " + number(granted.tokens) +
                  " tokens and had been granted " + number(before));
    found->second.granted = granted.tokens;
  }

  /// The lane that it was started on tells what it runs. If it was started on two, its first tokens
  /// may be of either.
  void check_weights(const Emitted& emitted, const Sequence& sequence) {
    Request& request = requests_.at(sequence.request);
    if (emitted.epoch != sequence.epoch || sequence.weights.empty()) return;
    if (request.weights == 0) {
      if (sequence.weights.size() != 1) return;
      request.weights = *sequence.weights.begin();
      if (reference_) read_from_[sequence.request] = request.weights;
    } else if (!sequence.weights.contains(request.weights)) {
      violate("C18",
              name(emitted.sequence) + " takes tokens of other weights than those that its " +
                  name(sequence.request) + " has begun on");
    }
  }

  void compare(const Emitted& emitted, const std::vector<TokenId>& expected) {
    for (std::size_t i = 0; i < emitted.ids.size(); ++i) {
      std::size_t index = emitted.first + i;
      if (index < expected.size() && emitted.ids[i] == expected[index]) continue;
      violate("C3",
              "token " + number(index) + " of " + name(emitted.sequence) + " is " +
                  std::to_string(emitted.ids[i]) + ", the undisturbed run has " +
                  (index < expected.size() ? std::to_string(expected[index])
                                           : "ended after " + number(expected.size())));
      return;
    }
    std::size_t end = emitted.first + emitted.ids.size();
    if (emitted.finished && end != expected.size())
      violate("C3",
              name(emitted.sequence) + " ends after " + number(end) +
                  " tokens, the undisturbed run after " + number(expected.size()));
  }

  void on(const Read& read) {
    auto key = std::pair(read.request, read.choice);
    Reading& reading = readings_[key];
    if (reading.finished) violate("C4", choice_name(read) + " is read on after its end");
    auto weights = read_from_.find(read.request);
    if (const std::string* expected =
            reference_
                ? reference_->text(
                      read.request, read.choice, weights == read_from_.end() ? 0 : weights->second)
                : nullptr) {
      if (expected->compare(reading.bytes, read.text.size(), read.text) != 0) {
        violate("C4",
                choice_name(read) + " gives \"" + read.text + "\" from byte " +
                    number(reading.bytes) + ", the undisturbed run \"" +
                    (reading.bytes <= expected->size()
                         ? expected->substr(reading.bytes, read.text.size())
                         : "") +
                    "\"");
      } else if (read.finished && reading.bytes + read.text.size() != expected->size()) {
        violate("C4",
                choice_name(read) + " ends after " + number(reading.bytes + read.text.size()) +
                    " bytes, the undisturbed run after " + number(expected->size()));
      }
    }
    reading.bytes += read.text.size();
    reading.finished = reading.finished || read.finished;
  }

  static std::string choice_name(const Read& read) {
    return "choice " + number(read.choice) + " of " + name(read.request);
  }

  // --- a lane ------------------------------------------------------------------------------------

  void on(const WorkerStarted& started) {
    Lane& lane = lanes_[started.lane];
    std::string who = "worker " + number(started.worker) + " of " + name(started.lane);
    if (lane.worker != 0)
      violate("C13", who + " is started and worker " + number(lane.worker) + " is alive");
    if (lane.quarantined) begin_trial(who, lane);
    if (last_start_ && now_ - *last_start_ < limits_.start_spacing)
      violate("C13",
              who + " is started " + seconds(now_ - *last_start_) +
                  " after another one on the host, " + seconds(limits_.start_spacing) +
                  " is the least");
    forget_charges(lane);
    if (lane.charged.size() > limits_.lane_restarts)
      violate("C13",
              who + " is started, " + number(lane.charged.size()) + " ended in the last " +
                  seconds(limits_.lane_period) + ", the budget is " +
                  number(limits_.lane_restarts));
    last_start_ = now_;
    lane.worker = started.worker;
    lane.ready = false;
  }

  void on(const LaneReady& ready) {
    Lane& lane = lanes_[ready.lane];
    if (lane.worker != ready.worker)
      violate("C13",
              "worker " + number(ready.worker) + " of " + name(ready.lane) +
                  " is ready and does not live");
    lane.ready = true;
    lane.slots = ready.slots;
    lane.blocks = ready.blocks;
    lane.weights = ready.fingerprint;
  }

  void on(const WorkerLost& lost) {
    Lane& lane = lanes_[lost.lane];
    if (lost.worker != 0 && lane.worker != lost.worker)
      violate("C13",
              "worker " + number(lost.worker) + " of " + name(lost.lane) +
                  " is lost and does not live");
    if (lost.blamed) {
      for (const auto& [id, running] : lane.running) {
        auto found = sequences_.find(id);
        if (found != sequences_.end() && found->second.ended.size() < kEndedWorkersKept)
          found->second.ended.emplace_back(lost.lane, lost.worker);
      }
    }
    lane.worker = 0;
    lane.ready = false;
    lane.running.clear();
    lane.blocks_used = lane.users = lane.alone = 0;
    if (lost.charged) lane.charged.push_back({now_, lost.worker});
    if (lost.charged && lane.trial) lane.trial_failed = true;
    forget_charges(lane);
  }

  void on(const Quarantined& quarantined) {
    Lane& lane = lanes_[quarantined.lane];
    bool by_itself = quarantined.trial_at != TimePoint::max();
    Duration rest = by_itself ? quarantined.trial_at - now_ : Duration::zero();
    if (lane.quarantined && !lane.trial) {
      // Its executor was replaced, and remembers it.
      if (quarantined.trial_at < lane.trial_at)
        violate("C13",
                "the rest of " + name(quarantined.lane) + " is cut short by " +
                    seconds(lane.trial_at - quarantined.trial_at));
    } else if (by_itself) {
      Duration least = limits_.quarantine_first;
      if (lane.trial) least = std::max(least, std::min(2 * lane.rest, limits_.quarantine_longest));
      if (rest + limits_.skew < least)
        violate("C13",
                name(quarantined.lane) + " is to rest for " + seconds(rest) + ", " +
                    seconds(least) + " is the least");
      lane.rest = rest;
    }
    lane.quarantined = true;
    lane.trial = lane.trial_failed = false;
    lane.trial_at = quarantined.trial_at;
    lane.charged.clear();
  }

  void on(const Revived& revived) {
    Lane& lane = lanes_[revived.lane];
    if (!lane.quarantined) violate("C13", name(revived.lane) + " is revived and lives");
    lane.trial_at = now_;
    lane.rest = Duration::zero();
  }

  void begin_trial(const std::string& who, Lane& lane) {
    if (now_ < lane.trial_at)
      violate("C13", who + " is started and the lane is quarantined");
    else if (lane.trial_failed)
      violate("C13", who + " is started and the lane's trial has failed");
    lane.trial = true;
  }

  void forget_charges(Lane& lane) {
    while (!lane.charged.empty() && now_ - lane.charged.front().at >= limits_.lane_period)
      lane.charged.pop_front();
  }

  void on(const Started& started) {
    Lane& lane = lanes_[started.lane];
    std::string who = name(started.sequence) + " on " + name(started.lane);
    if (!lane.ready || lane.worker != started.worker)
      violate("C6",
              who + " is started in worker " + number(started.worker) + ", which does not serve");
    if (started.deadline != TimePoint::max() && now_ > started.deadline + limits_.deadline_grace)
      violate("C11",
              who + " is started " + seconds(now_ - started.deadline) + " after its deadline");
    auto found = sequences_.find(started.sequence);
    if (found != sequences_.end()) {
      check_resumed(started, found->second);
      if (started.epoch == found->second.epoch) found->second.weights.insert(lane.weights);
      std::uint64_t begun = requests_.at(found->second.request).weights;
      if (started.emitted > 0 && begun != 0 && begun != lane.weights)
        violate("C18",
                who + " is started with " + number(started.emitted) +
                    " tokens of other weights than the lane runs");
    }

    Running running{started.epoch, started.blocks, started.probe, false};
    if (found != sequences_.end()) {
      const Sequence& sequence = found->second;
      running.alone = started.trial && sequence.suspected >= 2;
      if (!started.trial && started.emitted < sequence.trial_until)
        violate("C16", who + " is suspected and not cleared, and is started without a trial");
    }
    auto known = lane.running.find(started.sequence);
    if (known != lane.running.end()) {
      if (known->second.epoch >= started.epoch)
        violate("C5",
                who + " is started under epoch " + number(started.epoch) + " and runs under " +
                    number(known->second.epoch));
      take_off(lane, known);
    }
    lane.blocks_used += running.blocks;
    lane.users += running.probe ? 0 : 1;
    lane.alone += running.alone ? 1 : 0;
    lane.running.emplace(started.sequence, running);

    if (lane.ready && lane.running.size() > lane.slots + (probes(lane) > 0 ? 1U : 0U))
      violate("C6",
              who + " is started as number " + number(lane.running.size()) + " of " +
                  number(lane.slots) + " slots");
    if (lane.ready && lane.blocks_used > lane.blocks)
      violate("C6",
              who + " is started, " + number(lane.blocks_used) + " blocks are reserved of " +
                  number(lane.blocks));
    if (lane.alone > 0 && lane.users > 1)
      violate("C16",
              who + " is started beside " + number(lane.users - 1) +
                  " others, and one of them has to be alone");
    if (!started.probe && lane.gate) check_gate(who, lane);
  }

  static std::size_t probes(const Lane& lane) { return lane.running.size() - lane.users; }

  void check_resumed(const Started& started, const Sequence& sequence) {
    if (requests_.at(sequence.request).refused)
      violate("C2", name(started.sequence) + " is started and its request was refused");
    if (sequence.convicted)
      violate("C16", name(started.sequence) + " is started and was convicted");
    if (started.epoch > sequence.epoch)
      violate("C5",
              name(started.sequence) + " is started under epoch " + number(started.epoch) +
                  ", which was not offered; the last one is " + number(sequence.epoch));
    if (started.epoch == sequence.epoch && started.emitted != sequence.emitted)
      violate("C3",
              name(started.sequence) + " is started with " + number(started.emitted) +
                  " tokens, it has emitted " + number(sequence.emitted));
  }

  void check_gate(const std::string& who, const Lane& lane) {
    double weight = lane.gate->weight;
    std::uint32_t permits = lane.gate->permits;
    if (lane.gate_before && now_ - lane.gate_since < limits_.skew) {
      weight = std::max(weight, lane.gate_before->weight);
      permits = std::max(permits, lane.gate_before->permits);
    }
    if (weight <= 0)
      violate("C12", who + " is started and the lane's weight is 0");
    else if (lane.users > permits)
      violate("C12",
              who + " is started as number " + number(lane.users) + ", the lane has " +
                  number(permits) + " permits");
  }

  void on(const Stopped& stopped) {
    Lane& lane = lanes_[stopped.lane];
    auto found = lane.running.find(stopped.sequence);
    if (found == lane.running.end() || found->second.epoch != stopped.epoch) {
      violate("C6",
              name(stopped.sequence) + " of epoch " + number(stopped.epoch) + " leaves " +
                  name(stopped.lane) + " and does not run there");
      return;
    }
    take_off(lane, found);
  }

  void on(const Cleared& cleared) {
    Lane& lane = lanes_[cleared.lane];
    auto found = lane.running.find(cleared.sequence);
    if (found == lane.running.end() || found->second.epoch != cleared.epoch) {
      violate("C16", name(cleared.sequence) + " is cleared and does not run there");
      return;
    }
    auto suspect = sequences_.find(cleared.sequence);
    if (suspect != sequences_.end() && cleared.tokens < suspect->second.trial_until)
      violate("C16",
              name(cleared.sequence) + " is cleared with " + number(cleared.tokens) +
                  " tokens, its trial lasts until " + number(suspect->second.trial_until));
    if (std::exchange(found->second.alone, false)) lane.alone -= 1;
  }

  static void take_off(Lane& lane, std::map<SequenceId, Running>::iterator entry) {
    const Running& running = entry->second;
    lane.blocks_used -= running.blocks;
    lane.users -= running.probe ? 0 : 1;
    lane.alone -= running.alone ? 1 : 0;
    lane.running.erase(entry);
  }

  void on(const Gate& gate) {
    Lane& lane = lanes_[gate.lane];
    if (lane.gate && gate.generation < lane.gate->generation)
      violate("C12",
              "the gate of " + name(gate.lane) + " goes back from generation " +
                  number(lane.gate->generation) + " to " + number(gate.generation));
    if (gate.weight > 0 && lane.trial) lane.quarantined = lane.trial = false;
    lane.gate_before = std::exchange(lane.gate, gate);
    lane.gate_since = now_;
  }

  void on(const Probe& probe) {
    Lane& lane = lanes_[probe.lane];
    std::string who = "probe " + number(probe.number) + " of " + name(probe.lane);
    if (probe.step == Probe::Step::leased) {
      if (!lane.permits.insert(probe.number).second) violate("C12", who + " is leased twice");
    } else if (lane.permits.erase(probe.number) == 0) {
      violate("C12", who + " is " + std::string(name_of(probe.step)) + " and is not leased");
    }
  }

  // --- poison, the ladder, supervision -----------------------------------------------------------

  void on(const Suspected& suspected) {
    auto found = sequences_.find(suspected.sequence);
    if (found == sequences_.end()) return;  // it ended with its last token
    Sequence& sequence = found->second;
    bool forgotten = suspected.count == 1;
    if (!forgotten && suspected.count != sequence.suspected + 1)
      violate("C16",
              name(suspected.sequence) + " is suspected for the " + number(suspected.count) +
                  "th time, it was " + number(sequence.suspected) + " times before");
    sequence.suspected = suspected.count;
    if (suspected.culprit != suspected.sequence) {
      sequence.trial_until = std::max(sequence.trial_until, suspected.trial_until);
      sequence.equals.insert(suspected.culprit);
      if (auto culprit = sequences_.find(suspected.culprit); culprit != sequences_.end())
        culprit->second.equals.insert(suspected.sequence);
      return;
    }
    bool cleared = forgotten || sequence.emitted >= sequence.trial_until;
    sequence.in_a_row = cleared ? 1 : sequence.in_a_row + 1;
    if (sequence.in_a_row > limits_.incarnations_per_poison)
      violate("C16",
              name(suspected.sequence) + " has ended " + number(sequence.in_a_row) +
                  " workers in a row, the limit is " + number(limits_.incarnations_per_poison));
    sequence.trial_until = suspected.trial_until;
  }

  void on(const Convicted& convicted) {
    auto old = convictions_.find(convicted.fingerprint);
    auto found = sequences_.find(convicted.sequence);
    if (found != sequences_.end()) {
      Sequence& sequence = found->second;
      Request& request = requests_.at(sequence.request);
      if (old != convictions_.end() && now_ - old->second < kConvictionLasts &&
          request.accepted_at > old->second)
        violate("C16",
                name(convicted.sequence) + " is convicted, and was let in " +
                    seconds(request.accepted_at - old->second) +
                    " after an equal one was convicted");
      if (sequence.suspected == 0)
        violate("C16", name(convicted.sequence) + " is convicted and was never suspected");
      sequence.convicted = request.convicted = true;
      // The lanes are not charged for what they could not help.
      forgive(sequence);
      for (SequenceId id : sequence.equals)
        if (auto equal = sequences_.find(id); equal != sequences_.end()) forgive(equal->second);
    }
    if (old == convictions_.end()) {
      convictions_.emplace(convicted.fingerprint, now_);
      conviction_order_.push_back(convicted.fingerprint);
      if (conviction_order_.size() > kConvictionsKept) {
        convictions_.erase(conviction_order_.front());
        conviction_order_.pop_front();
      }
    } else {
      old->second = now_;
    }
  }

  void forgive(const Sequence& sequence) {
    for (const auto& [lane, worker] : sequence.ended)
      std::erase_if(lanes_[lane].charged,
                    [worker = worker](const Charge& charge) { return charge.worker == worker; });
  }

  void on(const Ladder& ladder) {
    if (ladder.level < level_) {
      if (level_ - ladder.level > 1)
        violate("C14",
                "the ladder goes down from " + number(level_) + " to " + number(ladder.level) +
                    " at once");
      if (now_ - level_since_ < limits_.ladder_dwell)
        violate("C14",
                "the ladder leaves level " + number(level_) + " after " +
                    seconds(now_ - level_since_) + ", it has to rest " +
                    seconds(limits_.ladder_dwell));
    }
    level_ = ladder.level;
    level_since_ = now_;
  }

  /// What a new incarnation cannot know is forgotten here, too: the budget of restarts with the
  /// executor, leased permits and the gate with the breaker.
  void on(const Restarted& restarted) {
    // Until the next one is born there is nobody to register with.
    if (restarted.path.ends_with("/admission")) admission_lives_ = false;
    constexpr std::string_view kLane = "/lane";
    std::size_t at = restarted.path.rfind(kLane);
    if (at == std::string::npos) return;
    std::string_view rest = std::string_view(restarted.path).substr(at + kLane.size());
    std::uint32_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits)
      value = value * 10 + static_cast<std::uint32_t>(rest[digits] - '0');
    auto lane = lanes_.find(LaneId{value});
    if (digits == 0 || lane == lanes_.end()) return;
    std::string_view child = rest.substr(digits);
    bool breaker = child == "/breaker";
    if (breaker || child == "/executor") lane->second.charged.clear();
    if (breaker) {
      lane->second.permits.clear();
      lane->second.gate.reset();
      lane->second.gate_before.reset();
    }
  }

  // --- the run -----------------------------------------------------------------------------------

  void on(const Healing&) {}

  void on(const End& end) {
    if (!end.settled) return;
    for (const auto& [id, request] : requests_)
      if (request.accepted) violate("C1", name(id) + " was accepted and has not ended");
    for (const auto& [id, tokens] : reserved_)
      violate("C6", name(id) + " still has " + number(tokens) + " tokens reserved");
    for (const auto& [id, lane] : lanes_) {
      for (const auto& [sequence, running] : lane.running)
        violate("C6", name(sequence) + " still runs on " + name(id));
      if (lane.gate && !lane.gate->closed && !lane.quarantined)
        violate("C12", "the breaker of " + name(id) + " is not closed");
      for (std::uint64_t permit : lane.permits)
        violate("C12", "probe " + number(permit) + " of " + name(id) + " is still leased");
    }
    if (level_ != 0) violate("C14", "the ladder stands on level " + number(level_));
    quotas_.end();
  }

  void violate(const char* invariant, std::string what) {
    ++violations_in_all;
    if (violations.size() < kViolationsKept)
      violations.push_back({invariant, now_, events_, std::move(what)});
  }

  struct Reading {
    std::size_t bytes = 0;
    bool finished = false;
  };

  const Reference* reference_;
  Limits limits_;
  QuotaJudge quotas_{
      [this](const char* invariant, std::string what) { violate(invariant, std::move(what)); }};
  std::uint64_t events_ = 0;
  TimePoint now_;
  // Ordered by number where order shows in what is reported.
  std::map<RequestNumber, Request> requests_;
  std::unordered_map<SequenceId, Sequence> sequences_;
  std::map<LaneId, Lane> lanes_;
  std::map<RequestNumber, std::uint64_t> reserved_;  ///< tokens
  std::uint64_t tokens_ = 0;                         ///< the sum of `reserved_`
  Duration awake_{};                                 ///< time so far, without the silences
  Duration admission_born_{};                        ///< of `awake_`
  bool admission_lives_ = true;
  std::unordered_set<RequestNumber> ended_;
  std::deque<RequestNumber> ended_order_;
  std::map<std::pair<RequestNumber, std::uint32_t>, Reading> readings_;
  std::map<RequestNumber, std::uint64_t> read_from_;  ///< weights; in tests, like `readings_`
  std::optional<TimePoint> last_start_;
  std::unordered_map<std::uint64_t, TimePoint> convictions_;  ///< by fingerprint
  std::deque<std::uint64_t> conviction_order_;
  std::uint32_t level_ = 0;
  TimePoint level_since_;
};

Checker::Checker(const Reference* reference) : impl_(std::make_unique<Impl>(reference)) {}
Checker::~Checker() = default;

void Checker::on(const Event& event) {
  impl_->take(event);
}

const std::vector<Violation>& Checker::violations() const {
  return impl_->violations;
}

std::uint64_t Checker::violations_in_all() const {
  return impl_->violations_in_all;
}

std::uint64_t Checker::events() const {
  return impl_->events();
}

std::size_t Checker::remembered() const {
  return impl_->remembered();
}

}  // namespace sluice::trace
