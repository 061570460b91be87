#include "tests/sim/world.h"

#include "actors/application.h"
#include "actors/degrade.h"
#include "actors/session.h"
#include "api/http_answer.h"
#include "base/check.h"
#include "models/hash/hash_chain.h"
#include "supervision/supervisor.h"
#include "tests/sim/coverage.h"
#include "tests/sim/director.h"
#include "trace/fields.h"

#include <caf/exit_reason.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

/// Virtual time starts here: zero means "never" to some.
constexpr Duration kBeginning = 1h;
/// So long after the last fault everything has to be at rest.
constexpr Duration kHealingTime = 60s;
/// The ladder goes down only when all else has been well for a while.
constexpr Duration kLadderTime = 60s;
/// The lanes let go of a request that ended, whatever it was doing, so soon.
constexpr Duration kLetGo = 100ms;
/// More messages than this are a run that goes in circles.
constexpr std::uint64_t kMessagesMax = 3'000'000;

/// Folds every field of an event into a number.
class Folder {
 public:
  explicit Folder(std::uint64_t& hash) : hash_(hash) {}
  template <class Field>
  void operator()(std::string_view, const Field& field) {
    fold(field);
  }

 private:
  template <class Number>
  void fold(Number number) requires std::is_arithmetic_v<Number> || std::is_enum_v<Number> {
    stir(static_cast<std::uint64_t>(number));
  }
  void fold(double number) { stir(hash_bytes(&number, sizeof number)); }
  template <class Tag, class Number>
  void fold(Id<Tag, Number> id) {
    stir(id.value);
  }
  void fold(Duration duration) { stir(static_cast<std::uint64_t>(duration.count())); }
  void fold(TimePoint time) { fold(time.time_since_epoch()); }
  void fold(const std::string& text) { stir(hash_bytes(text)); }
  void fold(const std::vector<TokenId>& ids) {
    stir(hash_bytes(ids.data(), ids.size() * sizeof(TokenId)));
  }
  void stir(std::uint64_t value) { hash_ = mix64(hash_ ^ value); }

  std::uint64_t& hash_;
};

/// The same tree, in which supervisors play roles, too: whoever is to end one has to find it.
std::shared_ptr<const SupervisorSpec> findable(const SupervisorSpec& spec,
                                               const std::string& path) {
  SupervisorSpec copy = spec;
  for (ChildSpec& child : copy.children) {
    if (!child.supervisor) continue;
    child.role = path + "/" + child.id;
    child.supervisor = findable(*child.supervisor, child.role);
  }
  return std::make_shared<const SupervisorSpec>(std::move(copy));
}

/// The same tree, in which every budget bears `restarts` and nobody waits long for the next one.
std::shared_ptr<const SupervisorSpec> patient(const SupervisorSpec& spec, std::uint32_t restarts) {
  SupervisorSpec copy = spec;
  copy.budget.restarts = restarts;
  for (ChildSpec& child : copy.children) {
    child.backoff.max = 2s;
    if (child.supervisor) child.supervisor = patient(*child.supervisor, restarts);
  }
  return std::make_shared<const SupervisorSpec>(std::move(copy));
}

}  // namespace

/// Time is the scheduler's.
class World::VirtualClock final : public Clock {
 public:
  explicit VirtualClock(caf::scheduler::test_coordinator& scheduler) : scheduler_(scheduler) {}
  [[nodiscard]] TimePoint now() const override { return scheduler_.clock().now(); }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(1'700'000'000s);
  }

 private:
  caf::scheduler::test_coordinator& scheduler_;
};

/// Hears every event: for the checker, the hash, the file and the coverage.
class World::Recorder final : public trace::Sink {
 public:
  explicit Recorder(World& world) : world_(world) {}

  void record(trace::Event event) override {
    world_.stir(event.body.index());
    Folder folder(world_.hash_);
    std::visit([&](const auto& body) { trace::each_field(folder, body); }, event.body);
    world_.checker_.on(event);
    std::visit([this](const auto& body) { note(body); }, event.body);
    if (world_.file_) world_.file_->record(std::move(event));
  }

  std::map<LaneId, trace::Gate> gates;
  std::map<std::uint64_t, const SimClient*> clients;  ///< by request number
  std::set<std::pair<LaneId, std::uint64_t>> probes;  ///< that are leased
  std::set<std::uint64_t> weights;                    ///< that lanes have served
  std::set<LaneId> quarantined;
  std::set<std::string> lost_models;  ///< without any lane, at some moment
  /// Requests that were refused while others waited.
  std::set<std::uint64_t> crowded;
  /// Clients whose first requests have completed.
  std::set<std::uint64_t> completed;
  /// Requests of which a lane has computed something.
  std::set<std::uint64_t> begun;
  /// Clients that were convicted although they are harmless, and had bad luck enough for that.
  std::set<std::uint64_t> unlucky;
  std::size_t ends_of_trials = 0;  ///< by suspects, convicted or not
  bool has_degraded = false;       ///< the ladder was above its foot

  /// Lanes whose actors their supervisor has given up for a while.
  void note_parked() {
    for (const LaneStatus& lane : world_.front_->lanes.snapshot()) {
      if (!lane.parked_until) continue;
      mark(Mark::lane_parked);
      quarantined.insert(lane.lane);
    }
    note_lost_models();
  }

 private:
  template <class Body>
  void note(const Body&) {}

  void note(const trace::Offered& offered) {
    epochs_[offered.sequence] = offered.epoch;
    waiting_[offered.sequence] = world_.clock_->now();
    if (auto [client, poison] = client_of(offered.sequence); client) {
      const std::string& model = world_.models_.at(client->plan().model)->name;
      if (forlorn_.contains(model)) expect_given_up_later(model);
    }
    switch (offered.why) {
      case trace::Why::first:
        return note_first(offered);
      case trace::Why::reader_back:
        return mark(Mark::offered_after_a_pause);
      case trace::Why::holder_lost:
        return mark(Mark::offered_after_holder_lost);
      case trace::Why::lane_lost:
        return mark(Mark::offered_after_lane_lost);
      case trace::Why::preempted:
        return mark(Mark::gave_way);
      case trace::Why::retry:
        return mark(Mark::offered_as_retry);
    }
  }
  void note(const trace::Emitted& emitted) {
    auto after = clients.upper_bound(emitted.sequence.value);
    if (after == clients.begin()) return;
    begun.insert(std::prev(after)->first);
    const SimClient& client = *std::prev(after)->second;
    auto& [pause, tokens] = behind_[std::prev(after)->first];
    // Between two pauses it has caught up, and its sequences were granted more.
    if (std::exchange(pause, client.pauses()) != client.pauses()) tokens = 0;
    tokens = client.behind() ? tokens + emitted.ids.size() : 0;
    // Its sequences were granted as much as fills the buffer once more, or two each, when it was
    // not behind yet. Tokens of which nothing is shown yet, a part of a character or what may
    // become a stop string, do not wait for it: some more for each.
    constexpr std::size_t kEventBytes = 256;
    const OpenAiRequest& request = client.plan().request;
    std::size_t sequences = request.prompts.size() * request.n;
    std::size_t most = 2 * (world_.plan_.front.stream_buffer / kEventBytes) + 12 * sequences + 8;
    if (tokens > most)
      world_.complain(client.name() + " is behind, and " + std::to_string(tokens) +
                      " tokens were taken for it meanwhile");
  }
  void note(const trace::Passed&) { mark(Mark::passed_for_want_of_room); }
  void note(const trace::Granted& granted) { granted_[granted.sequence] = granted.tokens; }
  void note(const trace::Started& started) {
    auto offered = epochs_.find(started.sequence);
    if (offered != epochs_.end() && started.epoch < offered->second)
      world_.complain("sequence " + std::to_string(started.sequence.value) +
                      " is started under epoch " + std::to_string(started.epoch) +
                      ", and its session offers it under epoch " + std::to_string(offered->second));
    running_[started.sequence] = started.lane;
    if (started.trial) on_trial_.insert(started.sequence);
    if (!started.probe) {
      waiting_.erase(started.sequence);
      users_[started.lane].insert(started.sequence);
      expect_open(started);
      expect_wanted(started);
    }
    auto granted = granted_.find(started.sequence);
    if (started.emitted > 0 && granted != granted_.end() && started.emitted >= granted->second)
      mark(Mark::resumed_paused);
    auto after = clients.upper_bound(started.sequence.value);
    if (started.emitted == 0 || after == clients.begin()) return;
    mark(Mark::resumed_with_tokens);
    const OpenAiRequest& request = std::prev(after)->second->plan().request;
    const SamplingParams& sampling = request.sampling;
    if (request.n > 1) mark(Mark::resumed_choices);
    if (sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 ||
        sampling.frequency_penalty != 0)
      mark(Mark::resumed_with_penalties);
    if (request.logprobs) mark(Mark::resumed_with_logprobs);
    if (!request.stop.empty()) mark(Mark::resumed_with_stop);
    if (sampling.temperature > 0) mark(Mark::resumed_sampled);
  }
  void note(const trace::Ladder& ladder) {
    if (ladder.level > 0) has_degraded = true;
    mark(Mark::ladder_rose);
    if (ladder.level == DegradationLadder::kSurvival) mark(Mark::ladder_in_survival);
  }
  void note(const trace::Refused& refused) {
    mark(Mark::refused);
    waits_no_longer(refused.request);
    // What has just ended may be counted until its queue hears of it.
    constexpr Duration kHeard = 1s;
    bool runs = std::any_of(
        users_.begin(), users_.end(), [](const auto& lane) { return !lane.second.empty(); });
    if (!waiting_.empty() || runs || world_.clock_->now() - waited_at_ < kHeard)
      crowded.insert(refused.request.value);
  }
  void note(const trace::Stopped& stopped) {
    running_.erase(stopped.sequence);
    users_[stopped.lane].erase(stopped.sequence);
  }
  /// All it waits for have completed.
  void note_first(const trace::Offered& offered) {
    mark(Mark::first_offer);
    auto [client, poison] = client_of(offered.sequence);
    if (!client || client->plan().asks_again) return;
    for (std::uint64_t number : client->plan().after) {
      mark(Mark::waited_for_others);
      if (!completed.contains(number))
        world_.complain(client->name() + " runs before client " + std::to_string(number) +
                        " has completed, for which it waits");
    }
  }
  void note(const trace::Ended& ended) {
    if (auto [client, poison] = client_of(SequenceId{ended.request.value});
        client && !client->plan().asks_again && ended.outcome == trace::Outcome::completed)
      completed.insert(client->plan().number);
    for (std::uint64_t i = 0; i < world_.reference_.sequences(ended.request); ++i)
      ended_at_[SequenceId{ended.request.value + i}] = world_.clock_->now();
    if (waits_no_longer(ended.request)) waited_at_ = world_.clock_->now();
    world_.environment_.after(
        kLetGo, Source::client, [this, request = ended.request] { expect_gone(request); });
    switch (ended.outcome) {
      case trace::Outcome::deadline:
        return mark(Mark::ended_by_deadline);
      case trace::Outcome::cancelled:
        return mark(Mark::ended_by_client);
      case trace::Outcome::error:
        note_parked();
        return mark(Mark::ended_by_error);
      case trace::Outcome::poison:
        return mark(Mark::ended_as_poison);
      default:
        return;
    }
  }
  void note(const trace::AdmissionBorn&) {
    if (std::exchange(admission_was_born_, true)) mark(Mark::admission_reborn);
  }
  void note(const trace::Registered&) { mark(Mark::registered_again); }
  void note(const trace::Claimed& claimed) {
    using Answer = trace::Claimed::Answer;
    switch (claimed.answer) {
      case Answer::taken:
        return claimed.tenant == trace::Claimed::kNobody ? void() : mark(Mark::claim_taken);
      case Answer::own_limit:
        return mark(Mark::own_limit_reached);
      case Answer::shared_limit:
        return mark(Mark::shared_limit_reached);
      case Answer::reserve:
        return mark(Mark::reserve_kept);
      case Answer::share:
        return mark(Mark::share_kept);
      case Answer::never:
        return mark(Mark::claim_never_fits);
    }
  }
  void note(const trace::LaneReady& ready) {
    if (weights.insert(ready.fingerprint).second && weights.size() > 1) mark(Mark::weights_changed);
  }
  void note(const trace::WorkerLost& lost) {
    std::erase_if(running_, [&](const auto& entry) { return entry.second == lost.lane; });
    note_struck(lost);
    if (lost.blamed) mark(Mark::worker_blamed);
    if (!lost.charged) mark(Mark::worker_not_charged);
  }
  void note(const trace::Quarantined& lost) {
    mark(Mark::lane_quarantined);
    if (!world_.lanes_may_fail())
      world_.complain("lane " + std::to_string(lost.lane.value) +
                      " is quarantined, and nothing but kills from outside has befallen it");
    quarantined.insert(lost.lane);
    note_lost_models();
  }
  void note_lost_models() {
    for (const auto& model : world_.models_)
      if (std::all_of(model->lanes.begin(), model->lanes.end(), [this](LaneId lane) {
            return quarantined.contains(lane);
          })) {
        lost_models.insert(model->name);
        if (forlorn_.try_emplace(model->name, world_.clock_->now()).second)
          expect_given_up_later(model->name);
      }
  }
  /// Whoever ran in workers that ended by chance, again and again and at last alone, is convicted
  /// with reason, though it be harmless. Anybody else harmless never is.
  void note(const trace::Convicted& convicted) {
    ends_of_trials += 1;
    auto [client, poison] = client_of(convicted.sequence);
    if (!client || poison) return;
    unlucky.insert(client->plan().number);
    mark(Mark::harmless_convicted);
    const std::vector<End>& ends = ends_[first_equal(convicted.sequence)];
    std::string who = "sequence " + std::to_string(convicted.sequence.value) +
                      ", which is harmless, is convicted: ";
    if (ends.size() < 3 && !(presumed_.contains(convicted.sequence) && !ends.empty()))
      world_.complain(who + "it was in " + std::to_string(ends.size()) + " workers that ended");
    else if (!ends.back().alone)
      world_.complain(who + "the last worker had others, too");
    else if (!ends.back().by_chance)
      world_.complain(who + "nothing was done to the last worker");
  }
  void note(const trace::Presumed& presumed) {
    mark(Mark::kind_tried);
    presumed_.insert(presumed.sequence);
  }
  void note(const trace::Suspected& suspected) {
    if (suspected.count > 1) mark(Mark::suspected_again);
    ends_of_trials += on_trial_.erase(suspected.sequence);
  }
  void note(const trace::Gate& gate) {
    auto [old, is_new] = gates.try_emplace(gate.lane, gate);
    if (!is_new && old->second.closed && gate.weight == 0) mark(Mark::breaker_opened);
    if (!is_new && !old->second.closed && gate.closed) mark(Mark::breaker_closed);
    if (gate.weight > 0 && quarantined.erase(gate.lane) > 0) {
      mark(Mark::quarantine_left);
      for (const auto& model : world_.models_)
        if (std::find(model->lanes.begin(), model->lanes.end(), gate.lane) != model->lanes.end())
          forlorn_.erase(model->name);
    }
    if (!gate.closed && gate.weight > 0) mark(Mark::breaker_ramped);
    old->second = gate;
  }
  void note(const trace::Probe& probe) {
    if (probe.step == trace::Probe::Step::expired) mark(Mark::probe_expired);
    if (probe.step == trace::Probe::Step::leased) {
      probes.emplace(probe.lane, probe.number);
    } else {
      probes.erase({probe.lane, probe.number});
    }
  }
  void note(const trace::Restarted& restarted) {
    mark(Mark::actor_restarted);
    if (++restarts_[restarted.path] != 4) return;
    constexpr std::pair<std::string_view, Mark> kOften[] = {
        {"/admission", Mark::admission_restarted_often},
        {"/queue", Mark::queue_restarted_often},
        {"/batcher", Mark::batcher_restarted_often},
        {"/executor", Mark::executor_restarted_often},
        {"/breaker", Mark::breaker_restarted_often},
        {"/prober", Mark::prober_restarted_often},
        {"/pulse", Mark::pulse_restarted_often},
        {"/lanes", Mark::lanes_restarted_often},
        {"/scheduling", Mark::scheduling_restarted_often},
        {"/operations", Mark::operations_restarted_often},
    };
    for (const auto& [end, often] : kOften)
      if (restarted.path.ends_with(end)) mark(often);
  }

  /// The end of a worker that counts against what ran in it.
  struct End {
    bool alone = false;      ///< nothing else of a user ran there
    bool by_chance = false;  ///< a fault was done to the worker
  };

  void note_struck(const trace::WorkerLost& lost) {
    std::set<SequenceId> users = std::exchange(users_[lost.lane], {});
    if (!lost.blamed) return;
    auto worker = world_.host_->find(lost.lane.value, lost.worker);
    std::set<SequenceId> firsts;
    for (SequenceId id : users)
      firsts.insert(first_equal(id));
    for (SequenceId first : firsts)
      ends_[first].push_back({users.size() == 1, worker && worker->struck()});
  }
  /// The first choice of its prompt: all of them are suspected together.
  [[nodiscard]] SequenceId first_equal(SequenceId id) const {
    auto after = clients.upper_bound(id.value);
    if (after == clients.begin()) return id;
    const auto& [first, client] = *std::prev(after);
    return SequenceId{id.value - (id.value - first) % client->plan().request.n};
  }

  /// Whose sequence it is, and whether it ends its workers; null: nobody's.
  [[nodiscard]] std::pair<const SimClient*, bool> client_of(SequenceId id) const {
    auto after = clients.upper_bound(id.value);
    if (after == clients.begin()) return {nullptr, false};
    const auto& [first, client] = *std::prev(after);
    // The first prompt is the one that is poisoned.
    std::uint64_t index = id.value - first;
    if (index >= client->expected()->of(0).tokens.size()) return {nullptr, false};
    return {client, client->plan().poison && index < client->plan().request.n};
  }

  /// Where the front stands still, or loses who would pass the word on, all takes longer.
  [[nodiscard]] bool word_may_be_late() const {
    return world_.plan_.front_may_be_late() || world_.plan_.actors_end();
  }

  /// What a breaker says reaches its lane: the checker knows only of gates that the lane has heard
  /// of.
  void expect_open(const trace::Started& started) {
    if (word_may_be_late()) return;
    for (const LaneStatus& lane : world_.front_->lanes.snapshot()) {
      const auto& shut = lane.breaker.shut_since;
      if (lane.lane == started.lane && shut && world_.clock_->now() - *shut > kLetGo)
        world_.complain("sequence " + std::to_string(started.sequence.value) +
                        " is started on lane " + std::to_string(lane.lane.value) +
                        ", whose breaker has been shut for more than 100 ms");
    }
  }

  /// Nothing of an ended request runs any more, or waits.
  void expect_gone(RequestNumber request) {
    if (world_.plan_.front_may_be_late()) return;
    std::size_t count = world_.reference_.sequences(request);
    for (std::uint64_t i = 0; i < count; ++i)
      if (running_.contains(SequenceId{request.value + i}))
        world_.complain("sequence " + std::to_string(request.value + i) +
                        " still runs, 100 ms after its request ended");
    if (word_may_be_late()) return;
    for (const auto& model : world_.models_)
      for (const Holder* holder : {&model->queue, &model->batcher})
        for (const Lease& lease : holder->leases->entries())
          if (lease.id.value >= request.value && lease.id.value < request.value + count)
            world_.complain("sequence " + std::to_string(lease.id.value) + " is still held by " +
                            holder->role + ", 100 ms after its request ended");
  }

  /// True: some of it had waited.
  bool waits_no_longer(RequestNumber request) {
    std::size_t waited = 0;
    for (std::uint64_t i = 0; i < world_.reference_.sequences(request); ++i)
      waited += waiting_.erase(SequenceId{request.value + i});
    return waited > 0;
  }

  void expect_given_up_later(const std::string& model) {
    world_.environment_.after(kLetGo, Source::client, [this, model] { expect_given_up(model); });
  }
  /// Nobody waits for lanes that nobody is to wait for.
  void expect_given_up(const std::string& model) {
    auto lost = forlorn_.find(model);
    if (lost == forlorn_.end() || word_may_be_late()) return;
    TimePoint before = world_.clock_->now() - kLetGo;
    if (lost->second > before) return;
    for (const auto& [sequence, since] : waiting_) {
      auto [client, poison] = client_of(sequence);
      if (client && since <= before && world_.models_.at(client->plan().model)->name == model)
        world_.complain("sequence " + std::to_string(sequence.value) +
                        " still waits, 100 ms after the last lane of its model was lost");
    }
  }

  /// What is passed on after the end of its request is not started any more.
  void expect_wanted(const trace::Started& started) {
    auto ended = ended_at_.find(started.sequence);
    if (ended == ended_at_.end() || world_.plan_.front_may_be_late()) return;
    if (world_.clock_->now() - ended->second > kLetGo)
      world_.complain("sequence " + std::to_string(started.sequence.value) +
                      " is started, more than 100 ms after its request ended");
  }

  World& world_;
  std::set<SequenceId> presumed_;                  ///< taken for poison by their kind
  std::set<SequenceId> on_trial_;                  ///< as they were started last
  std::map<SequenceId, LaneId> running_;           ///< where it was started last
  std::map<LaneId, std::set<SequenceId>> users_;   ///< what runs there for users
  std::map<SequenceId, std::vector<End>> ends_;    ///< of workers that it, or an equal one, was in
  std::map<std::string, std::uint32_t> restarts_;  ///< of the tree's children, by path
  std::map<SequenceId, TimePoint> ended_at_;       ///< their requests
  std::map<SequenceId, Epoch> epochs_;             ///< of the last offers
  TimePoint waited_at_{};                          ///< when one of those last ended
  std::map<SequenceId, TimePoint> waiting_;        ///< offered then, and not started since
  std::map<std::string, TimePoint> forlorn_;       ///< models without a lane, since when
  std::map<SequenceId, std::uint32_t> granted_;
  /// The pause of a client, and the tokens taken for it meanwhile.
  std::map<std::uint64_t, std::pair<std::uint32_t, std::size_t>> behind_;
  bool admission_was_born_ = false;
};

// --- the beginning -------------------------------------------------------------------------------

namespace {

/// So much is used as its plan says.
class SimMemory final : public HostMemory {
 public:
  SimMemory(const std::vector<std::pair<Duration, double>>& steps,
            TimePoint begin,
            std::shared_ptr<const Clock> clock)
      : steps_(steps), begin_(begin), clock_(std::move(clock)) {}

  double used() override {
    double used = 0;
    for (const auto& [from, then] : steps_)
      if (clock_->now() - begin_ >= from) used = then;
    return used;
  }

 private:
  const std::vector<std::pair<Duration, double>>& steps_;
  const TimePoint begin_;
  const std::shared_ptr<const Clock> clock_;
};

}  // namespace

World::World(const RunOptions& options, Undisturbed& undisturbed)
    : options_(options),
      plan_(WorldPlan::draw(options)),
      undisturbed_(undisturbed),
      policy_(options.seed),
      chance_(options.seed, "loop"),
      checker_(&reference_),
      system_(config_),
      scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())),
      clock_(std::make_shared<VirtualClock>(scheduler_)),
      environment_(*clock_),
      recorder_(std::make_shared<Recorder>(*this)) {
  system_.await_actors_before_shutdown(false);
  scheduler_.clock().current_time += kBeginning;
  begin_ = clock_->now();
  host_ = std::make_shared<SimHost>(environment_, options.seed, plan_.host);
  front_ = make_front(plan_.front, clock_, std::make_shared<Chance>(options.seed, "front"), host_);
  front_->trace = recorder_;
  if (!options_.trace_file.empty()) {
    auto file = trace::FileSink::create(options_.trace_file);
    if (file)
      file_ = *std::move(file);
    else
      complain(file.error().message);
  }
  for (std::uint32_t i = 0; i < plan_.models; ++i) {
    auto model = std::make_shared<ServedModel>();
    model->name = "hash" + std::to_string(i);
    auto card = load_model_card("hash");
    CHECK(card.has_value());
    model->card = *std::move(card);
    model->card.architecture = model->name;
    std::uint32_t lanes = plan_.lanes / plan_.models + (i < plan_.lanes % plan_.models ? 1 : 0);
    add_model(*front_, model, lanes, {"sluice", {}});
    for (LaneId lane : model->lanes)
      front_->worker_specs.at(lane).arguments = {std::to_string(lane.value), std::to_string(i)};
    models_.push_back(std::move(model));
  }
  if (plan_.models == 2) mark(Mark::two_models);
  if (plan_.cheaper) models_.front()->cheaper = models_.back()->name;
  front_->host_memory = std::make_shared<SimMemory>(plan_.memory, begin_, clock_);

  trace::Limits limits;
  limits.lane_restarts = plan_.front.lane_restarts_max;
  limits.lane_period = plan_.front.lane_restarts_period;
  limits.quarantine_first = plan_.front.quarantine.first;
  limits.quarantine_longest = plan_.front.quarantine.longest;
  // A front that stands still, or is held up, may do so in the middle of it, again and again.
  if (plan_.front_may_be_late()) limits.register_time = std::chrono::seconds(5);
  limits.skew = Duration::zero();
  limits.tokens = plan_.front.admission.queue_tokens;
  const trace::Limits of_front = trace_limits(*front_);
  limits.rate = of_front.rate;
  limits.core_kept = of_front.core_kept;
  limits.low_kept = of_front.low_kept;
  limits.share_kept = of_front.share_kept;
  limits.lane_core_kept = of_front.lane_core_kept;
  limits.lane_low_kept = of_front.lane_low_kept;
  limits.quantum = plan_.front.order.quantum;
  limits.ageing = plan_.front.order.ageing;
  front_->record(limits);
  tenants_ = enroll(*front_, plan_.tenants);
  if (plan_.new_limits)
    environment_.at(begin_ + plan_.new_limits->first, Source::client, [this] {
      tenants_ = enroll(*front_, plan_.new_limits->second);
      mark(Mark::limits_changed);
    });
  auto tree = findable(*make_tree(front_), "root");
  if (plan_.patient_tree) tree = patient(*tree, 10 * plan_.actor_deaths);
  root_ = spawn_supervisor(system_, "root", tree, front_->tree);
  root_->attach_functor([this](const caf::error&) { root_ended_ = true; });
  for (const ClientPlan& client : plan_.clients) {
    std::vector<Dependency::Ptr> after;
    for (std::uint64_t number : client.after)
      after.push_back(dependencies_.at(number));
    dependencies_.push_back(front_->dependencies.add(std::move(after)));
  }
  for (const ClientPlan& client : plan_.clients) {
    ++to_come_;
    environment_.at(begin_ + client.arrival.time_since_epoch(), Source::client, [this, &client] {
      --to_come_;
      arrive(client);
    });
  }
}

World::~World() = default;

void World::arrive(const ClientPlan& asked) {
  // As the ladder leaves it: what is frozen then is what it is held to.
  ClientPlan plan = asked;
  auto model = models_.at(plan.model);
  auto tenant = plan.tenant ? tenants_.at(*plan.tenant) : nullptr;
  auto refused = degrade(*front_, model, plan.request, tenant);
  if (refused) mark(Mark::refused_by_the_ladder);
  if (plan.request.degradation.cheaper) mark(Mark::went_cheaper);
  for (std::uint32_t i = 0; i < models_.size(); ++i)
    if (models_[i] == model) plan.model = i;
  auto expected =
      std::make_shared<Expectations>(undisturbed_, plan.request, model->card, plan.model);
  auto client = std::make_shared<SimClient>(
      plan,
      std::move(expected),
      SimClient::Ports{environment_,
                       *recorder_,
                       [this] { return front_->next_sequence.load(); },
                       [this](const SimClient& begun) {
                         reference_.add(*begun.number(), begun.expected());
                         recorder_->clients[begun.number()->value] = &begun;
                       },
                       [this](std::string what) { complain(std::move(what)); },
                       [this](const SimClient& refused) { ask_again(refused); },
                       front_->options.stream_buffer});
  clients_.push_back(client);
  auto answer = std::make_unique<HttpAnswer>(
      client,
      plan.request.request_id,
      plan.request.form,
      plan.request.stream,
      HttpAnswer::Options{clock_, front_->options.keepalive, front_->options.stream_buffer});
  // Whoever asks again does so for himself.
  auto dependency = std::exchange(dependencies_.at(plan.number), nullptr);
  if (refused) {
    answer->error(*refused);
    if (dependency) dependency->end(false);
    return;
  }
  SessionStart start{plan.request, {}, nullptr, clock_->now(), std::move(tenant)};
  start.dependency = std::move(dependency);
  spawn_session(system_, front_, model, std::move(start), std::move(answer));
  if (plan.vanishes_after) {
    environment_.after(*plan.vanishes_after, Source::client, [client] {
      if (!client->over()) mark(Fault::vanish);
      client->vanish();
    });
  }
}

void World::ask_again(const SimClient& refused) {
  ClientPlan again = refused.plan();
  if (refused.code() == "poison_kind") mark(Mark::kind_refused);
  if (refused.code() == "poison_request" && !again.convicted) {
    // A convict asks once more: it must not reach a worker again.
    again.convicted = true;
    again.retries = 1;
  }
  if (again.retries == 0) return;
  again.retries -= 1;
  again.after.clear();
  again.asks_again = true;
  ++to_come_;
  mark(Fault::retry_storm);
  environment_.after(chance_.duration(0ms, 5ms), Source::client, [this, again] {
    --to_come_;
    arrive(again);
  });
}

// --- the loop ------------------------------------------------------------------------------------

TimePoint World::next_timer() {
  auto& schedule = scheduler_.clock().schedule;
  while (!schedule.empty() && schedule.begin()->second.f.disposed())
    schedule.erase(schedule.begin());
  return schedule.empty() ? TimePoint::max() : schedule.begin()->first;
}

void World::handle_message() {
  auto& jobs = scheduler_.jobs;
  std::size_t chosen = policy_.choose(jobs);
  std::swap(jobs.front(), jobs[chosen]);
  auto* actor = dynamic_cast<caf::scheduled_actor*>(jobs.front());
  stir(actor ? actor->id() : 0);
  ++messages_;
  scheduler_.try_run_once();
}

bool World::tick(TimePoint end) {
  auto& now = scheduler_.clock().current_time;
  TimePoint timer = next_timer();
  TimePoint event = environment_.next();
  TimePoint next = std::min(timer, event);
  bool mail = scheduler_.has_job();
  bool late = plan_.slow_front > 0 && next <= end && chance_.hit(plan_.slow_front);
  if (mail && next > now && !late) {
    handle_message();
    return true;
  }
  if (!mail && next > end) {
    now = std::max(now, end);
    return false;
  }
  // Kinds of what is due have equal chances; inside a kind the first one, or the policy, decides.
  if (next > now) now = next;
  stir(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  std::uint64_t kinds = (mail ? 1 : 0) + (timer <= now ? 1 : 0) + (event <= now ? 1 : 0);
  std::uint64_t choice = kinds == 1 ? 0 : chance_.below(kinds);
  if (mail && choice-- == 0) {
    handle_message();
  } else if (timer <= now && choice-- == 0) {
    scheduler_.trigger_timeout();
  } else {
    environment_.run_due(now, chance_);
  }
  return true;
}

RunResult World::run() {
  {
    Director director(*this);
    TimePoint healing = begin_ + plan_.fault_time;
    while (goes_on() && tick(healing)) {
    }
    director.heal();
    heal();
    environment_.clear();
  }
  front_->record(trace::End{complaints_.empty() && checker_.violations().empty()});
  for (const auto& client : clients_)
    judge(*client);
  RunResult result;
  for (const trace::Violation& violation : checker_.violations())
    result.violations.push_back(to_string(violation));
  result.violations.insert(result.violations.end(), complaints_.begin(), complaints_.end());
  result.hash = hash_;
  result.virtual_time = clock_->now() - begin_;
  result.events = checker_.events();
  result.messages = messages_;
  result.preemptions = preemptions_;
  result.choices = checker_.choices();
  mark(Mark::chosen_between_classes, result.choices.between_classes);
  mark(Mark::chosen_between_tenants, result.choices.between_tenants);
  mark(Mark::chosen_inside_a_tenant, result.choices.inside_tenants);
  result.used = options_;
  result.used.faults = plan_.faults;
  result.used.requests = static_cast<std::uint32_t>(plan_.clients.size());
  result.used.models = plan_.models;
  result.used.lanes = plan_.lanes;
  result.used.fault_time = plan_.fault_time;
  result.description = std::to_string(plan_.models) + " models, " + std::to_string(plan_.lanes) +
                       " lanes, " + std::to_string(plan_.clients.size()) + " requests, " +
                       policy_.describe() + ", faults: " + to_string(plan_.faults);
  tear_down();
  return result;
}

void World::heal() {
  if (root_ended_ || !complaints_.empty() || !checker_.violations().empty()) return;
  say("healing");
  front_->record(trace::Healing{});
  recorder_->note_parked();
  plan_.slow_front = 0;
  for (const auto& client : clients_)
    client->hurry();
  Duration patience = kHealingTime + (plan_.front.degradation ? kLadderTime : Duration::zero());
  TimePoint end = clock_->now() + patience;
  TimePoint look = clock_->now();
  while (goes_on()) {
    if (clock_->now() >= look && !scheduler_.has_job()) {
      if (unrest().empty()) return;
      look = clock_->now() + 100ms;
    }
    if (!tick(end)) break;
  }
  if (root_ended_) {
    complain("the root supervisor gave up");
  } else if (messages_ >= kMessagesMax) {
    complain("it goes in circles: " + std::to_string(messages_) + " messages were handled");
  } else if (complaints_.empty() && checker_.violations().empty()) {
    std::string what = unrest();
    auto waited = std::chrono::duration_cast<std::chrono::seconds>(patience).count();
    if (!what.empty()) complain("after " + std::to_string(waited) + " s without faults " + what);
  }
}

bool World::goes_on() const {
  return !root_ended_ && messages_ < kMessagesMax && complaints_.empty() &&
         checker_.violations().empty();
}

std::string World::unrest() {
  if (to_come_ > 0) return std::to_string(to_come_) + " clients have not come";
  for (const auto& client : clients_) {
    if (client->over()) continue;
    return client->name() + " has no answer" +
           (client->number() ? " (request " + std::to_string(client->number()->value) + ")" : "");
  }
  if (front_->counters.sessions != 0)
    return std::to_string(front_->counters.sessions) + " sessions live";
  std::vector<std::pair<std::string, std::size_t>> tables = {
      {front_->admission.role, front_->admission.leases->size()}};
  for (const auto& model : models_)
    for (const Holder* holder : {&model->queue, &model->batcher})
      tables.emplace_back(holder->role, holder->leases->size());
  for (const auto& [lane, holder] : front_->executors)
    tables.emplace_back(holder.role, holder.leases->size());
  for (const auto& [role, leases] : tables)
    if (leases > 0) return role + " holds " + std::to_string(leases) + " leases";
  for (const ChildStatus& child : front_->tree->snapshot())
    if (child.state != ChildState::up)
      return child.path + " is " + std::string(to_string(child.state));
  for (const LaneStatus& lane : front_->lanes.snapshot()) {
    std::string name = "lane " + std::to_string(lane.lane.value);
    if (lane.state != LaneStatus::State::ready || lane.in_quarantine())
      return name + " is " + std::string(to_string(lane.state));
    auto gate = recorder_->gates.find(lane.lane);
    if (gate != recorder_->gates.end() && !gate->second.closed)
      return "the breaker of " + name + " is not closed";
  }
  for (const auto& model : models_)
    if (model->starved > 0) return "a class of model " + model->name + " has starved";
  if (std::uint32_t level = front_->degradation.level(); level > 0)
    return "the ladder stands on level " + std::to_string(level);
  if (std::size_t inside = front_->quotas->inside(); inside > 0)
    return std::to_string(inside) + " claims are not settled";
  for (const auto& [lane, number] : recorder_->probes)
    return "probe " + std::to_string(number) + " of lane " + std::to_string(lane.value) +
           " is leased";
  for (const auto& worker : host_->alive())
    if (worker->running() > 0)
      return "the worker of lane " + std::to_string(worker->lane()) + " runs " +
             std::to_string(worker->running()) + " sequences that nobody wants";
  return {};
}

// --- the end -------------------------------------------------------------------------------------

void World::judge(const SimClient& client) {
  if (!complaints_.empty() || !checker_.violations().empty()) return;  // cut short
  if (is_late(client)) {
    complain(client.name() + " (request " + std::to_string(client.number()->value) +
             ") is answered " +
             std::to_string(std::chrono::duration<double>(client.ended_at() - client.asked_at() -
                                                          *client.plan().request.timeout)
                                .count()) +
             " s after its deadline");
    return;
  }
  if (client.end() != SimClient::End::failed) return;
  if (!may_end_with(client, client.code()))
    complain(client.name() + " (request " +
             (client.number() ? std::to_string(client.number()->value) : "?") + ") fails with " +
             client.code() + ", for which there is no reason");
}

/// Whoever watches deadlines may be stalled, or gone for a while.
bool World::is_late(const SimClient& client) const {
  constexpr Duration kPatience = 1s;
  const FaultSet& faults = plan_.faults;
  if (!client.plan().request.timeout || !client.number() ||
      client.end() == SimClient::End::vanished || faults.has(Fault::front_stall) ||
      faults.has(Fault::actor_dies) || faults.has(Fault::actor_throws))
    return false;
  return client.ended_at() > client.asked_at() + *client.plan().request.timeout + kPatience;
}

/// A worker of this run may end, or never start, by a fault that is charged to its lane.
bool World::lanes_may_fail() const {
  FaultSet harmless = *FaultSet::parse(
      "slow_steps,doubled,old_epoch,session_dies,vanish,slow_reader,poison,retry_storm,oom_once,"
      "preempted,kill_outside,all_lanes,slow_load,new_weights");
  for (std::size_t i = 0; i < kFaults; ++i) {
    auto fault = static_cast<Fault>(i);
    if (plan_.faults.has(fault) && !harmless.has(fault)) return true;
  }
  return false;
}

bool World::may_end_with(const SimClient& client, const std::string& code) const {
  const ClientPlan& plan = client.plan();
  const FaultSet& faults = plan_.faults;
  const AdmissionController::Options& door = plan_.front.admission;
  bool narrow = door.queue_tokens > 0 || door.queue_capacity < 10;
  // It would have waited too long, and that takes somebody who waits, or has the places.
  bool crowded = client.number() && recorder_->crowded.contains(client.number()->value);
  if (code == "queue_timeout_predicted") return crowded;
  if (code == "overloaded" && recorder_->has_degraded) return true;
  if (code == "overloaded" && crowded && plan_.front.admission.wait_max[0] > Duration::zero())
    return true;
  // More than may be inside now, or ever; or a lane without memory, again and again.
  if (code == "overloaded")
    return narrow || faults.has(Fault::oom_always) || plan_.front.quotas.requests.is_limited();
  if (code == "rate_limit_exceeded") return plan.tenant.has_value();
  if (code == "invalid_value") return narrow || plan.tenant.has_value();
  if (code == "deadline_exceeded") return plan.request.timeout.has_value();
  if (code == "conflict")
    return std::any_of(plan.after.begin(), plan.after.end(), [this](std::uint64_t number) {
      return !recorder_->completed.contains(number);
    });
  // Its deadline was too near, and no lane had begun with it.
  if (code == "shed_after_accept")
    return plan.request.timeout.has_value() && client.number() &&
           !recorder_->begun.contains(client.number()->value);
  if (client.ended_with_its_weights()) return recorder_->weights.size() > 1;
  if (code == "backend_lost")
    return recorder_->lost_models.contains(models_.at(plan.model)->name) && lanes_may_fail();
  if (code == "not_ready" || code == "no_replica" || code == "breaker_open")
    return lanes_may_fail();
  if (code == "poison_kind") return recorder_->ends_of_trials >= 3;
  if (code == "poison_request") return plan.poison || recorder_->unlucky.contains(plan.number);
  if (code == "internal_error")
    return faults.has(Fault::session_dies) || faults.has(Fault::nan_one) ||
           faults.has(Fault::nan_all) || faults.has(Fault::bad_token);
  return false;
}

void World::tear_down() {
  environment_.clear();
  for (const auto& client : clients_)
    client->vanish();
  auto drain = [this](Duration time) {
    TimePoint end = clock_->now() + time;
    for (std::uint64_t i = 0; i < 200'000 && tick(end); ++i) {
    }
  };
  drain(0s);
  if (!root_ended_) caf::anon_send_exit(root_, caf::exit_reason::kill);
  root_ = nullptr;
  drain(1s);
  // Messages to oneself that are still to come hold their actors.
  scheduler_.clock().schedule.clear();
  drain(0s);
  front_->launcher.reset();
}

// --- for faults ----------------------------------------------------------------------------------

std::optional<std::string> World::kill_actor(Chance& chance) {
  recorder_->note_parked();
  std::vector<ChildStatus> players = front_->tree->snapshot();
  std::erase_if(players, [this](const ChildStatus& child) {
    return child.role.empty() || (plan_.worn_lane && !child.path.starts_with(lane_path({0})));
  });
  if (players.empty()) return std::nullopt;
  std::uint64_t which = chance.next();
  if (plan_.victim && chance.hit(0.7)) which = *plan_.victim;
  const std::string& role = players[which % players.size()].role;
  auto peer = front_->tree->registry().find(role);
  if (!peer) return std::nullopt;
  caf::anon_send_exit(peer->handle, caf::exit_reason::kill);
  return role;
}

bool World::kill_session(Chance& chance) {
  auto leases = front_->admission.leases->entries();
  if (leases.empty()) return false;
  caf::anon_send_exit(leases[chance.below(leases.size())].session, caf::exit_reason::kill);
  return true;
}

bool World::lose_client(Chance& chance) {
  std::vector<std::shared_ptr<SimClient>> there;
  std::copy_if(clients_.begin(), clients_.end(), std::back_inserter(there), [](const auto& client) {
    return !client->over();
  });
  if (there.empty()) return false;
  (chance.hit(0.5) ? there.back() : there[chance.below(there.size())])->vanish();
  return true;
}

void World::run_others(std::uint32_t steps, Duration time) {
  ++preemptions_;
  TimePoint before = held_up_until_;
  held_up_until_ = std::min(before, clock_->now() + time);
  while (steps-- > 0 && goes_on() && tick(held_up_until_)) {
  }
  held_up_until_ = before;
}

void World::leap(Duration duration) {
  scheduler_.clock().current_time += duration;
}

void World::say(const std::string& what) const {
  if (!options_.verbose) return;
  auto at = std::chrono::duration<double>(clock_->now() - begin_).count();
  std::fprintf(stderr, "%8.3f %s\n", at, what.c_str());
}

void World::complain(std::string what) {
  auto at = std::chrono::duration<double>(clock_->now() - begin_).count();
  char when[32];
  std::snprintf(when, sizeof when, "at %.3f s ", at);
  complaints_.push_back(when + std::move(what));
}

// --- a run ---------------------------------------------------------------------------------------

void prepare_runs() {
  share_coverage();
  make_actor_config(1);  // CAF has to know the message types
}

RunResult run(const RunOptions& options) {
  static Undisturbed undisturbed;
  return World(options, undisturbed).run();
}

std::string to_string(const RunOptions& options) {
  std::string text = "--seed " + std::to_string(options.seed);
  if (!(options.faults == FaultSet::all())) text += " --faults " + to_string(options.faults);
  if (options.requests) text += " --requests " + std::to_string(*options.requests);
  if (options.models) text += " --models " + std::to_string(*options.models);
  if (options.lanes) text += " --lanes " + std::to_string(*options.lanes);
  if (options.fault_time)
    text += " --millis " +
            std::to_string(
                std::chrono::duration_cast<std::chrono::milliseconds>(*options.fault_time).count());
  return text;
}

}  // namespace sluice::sim
