#include "actors/queue.h"

#include "actors/pulse.h"
#include "actors/pulse_messages.h"
#include "actors/thrown.h"
#include "actors/work_messages.h"
#include "actors/work_need.h"
#include "base/check.h"
#include "base/fault_point.h"
#include "base/yield_point.h"

#include "scheduling/lane_reservations.h"
#include "scheduling/preemption.h"
#include "scheduling/service_rate.h"
#include "scheduling/standing_queue.h"
#include "scheduling/waiting_order.h"
#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

/// How many in order are tried that no lane has room for, before the rest has to wait as well.
constexpr std::size_t kLooksMax = 32;
/// So long the most urgent of those who wait does so before less urgent work gives way to it: a
/// fifth of what it may wait at most by default. Until then places become free by themselves.
constexpr Duration kPatience = std::chrono::milliseconds(100);
/// Sequences that are asked to give way at once.
constexpr std::uint32_t kVictimsMax = 8;

class Queue : public caf::event_based_actor {
 public:
  Queue(caf::actor_config& config,
        std::shared_ptr<Front> front,
        std::shared_ptr<ServedModel> model,
        Incarnation life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        life_(std::move(life)) {}

  const char* name() const override { return "sluice.queue"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    front_->record(trace::QueueBorn{model_number()});
    tell_holder_lost(*life_.leases, model_->queue.role);
    auto self = caf::actor_cast<caf::actor>(this);
    front_->tree->registry().subscribe(model_->queue.role, self);
    front_->tree->registry().subscribe(model_->batcher.role, self);
    return {
        [this](Enqueue& enqueue) {
          on_enqueue(std::move(enqueue.work));
          publish();
        },
        [this](Pull& pull) {
          on_pull(pull);
          publish();
        },
        [this](const Drop& drop) {
          on_drop(drop);
          publish();
        },
        [this](const Rank& rank) { on_rank(rank); },
        [this](Tick) {
          ticking_ = false;
          feed();
          publish();
        },
        answers_pulse(),
        [this](const PeerUp& peer) {
          if (peer.role == model_->queue.role && peer.incarnation == life_.number) {
            count_anew();
            sweep(*life_.leases, model_->queue.role, [this](SequenceId id) {
              return works_.contains(id);
            });
          }
        },
        [this](const PeerDown& peer) {
          // A new batcher counts its lanes anew and says what they can take.
          if (peer.role != model_->batcher.role) return;
          lanes_ = {};
          given_.clear();
          asked_.clear();
          publish();
        },
    };
  }

  void on_exit() override {
    works_.clear();
    model_->waits.forget();
    publish();
  }

 private:
  /// Work that waits, and how often it was passed since no lane has room for it.
  struct Waiting {
    Work work;
    TimePoint since;  ///< it came here
    std::uint32_t passed = 0;
  };
  /// A place that the batcher did not know of when it last spoke.
  struct Given {
    std::uint64_t batch = 0;
    SequenceId id;
    LaneId lane;
    LaneRooms::Taken taken = {};
  };

  void on_enqueue(Work work) {
    FAULT_POINT("queue.enqueue");
    bool counted = work.counted;
    if (!life_.leases->holds(work.id, work.epoch)) return leaves(work, counted);
    YIELD_POINT("queue.held");
    if (!work.is_wanted()) {
      life_.leases->remove(work.id, work.epoch);
      return leaves(work, counted);
    }
    auto known = works_.find(work.id);
    if (known != works_.end()) {
      if (known->second.work.epoch >= work.epoch) return leaves(work, counted);
      forget(known);
    }
    if (!counted) {
      // It has not come through admission, for it had been let in before.
      estimate(work);
      model_->waits.enter(
          work.class_index, work.tenant, work.tenant_weight, work.cost, front_->clock->now());
    }
    if (lanes_.none_is_left) return fail(work, kNoLaneLeft);
    if (is_orphan(work)) return fail(work, kWeightsReplaced);
    if (work.suspicion > 0) {
      // Suspects wait in the batcher's ward, which knows whose trial is next.
      std::vector<Work> suspects{std::move(work)};
      give(suspects);
      return;
    }
    WaitingOrder::Item item = item_of(work);
    CHECK(order_.push(item));
    if (work.core) CHECK(core_order_.push(item));
    record_queued(work, item);
    note_latest_start(work);
    works_.emplace(work.id, Waiting{std::move(work), front_->clock->now()});
    feed();
  }

  void on_pull(Pull& pull) {
    if (pull.queue != life_.number) return;
    lanes_ = std::move(pull);
    while (!given_.empty() && given_.front().batch <= lanes_.batches)
      given_.pop_front();
    for (const Given& given : given_)
      lanes_.rooms.take(given.lane, given.taken);
    measure_anew();
    if (lanes_.none_is_left) fail_if([](const Work&) { return true; }, kNoLaneLeft);
    end_orphans();
    feed();
  }

  [[nodiscard]] WaitingOrder::Item item_of(const Work& work) const {
    // An output token costs twice what one of the prompt does: it takes a step of its own.
    constexpr std::uint64_t kOutputTokens = 2;
    WaitingOrder::Item item;
    item.id = work.id;
    item.class_index = work.class_index;
    item.resumed = work.resumed;
    item.priority = work.priority;
    item.tenant = work.tenant;
    item.tenant_weight = work.tenant_weight;
    item.arrival = work.arrival;
    item.cost = work.cost;
    item.behind = work.behind;
    item.tokens = work.plan->prompt.size() + kOutputTokens * work.expected;
    return item;
  }

  /// Gives in order what lanes have room for.
  void feed() {
    // Who is of the core API may have changed since.
    lanes_.rooms.set_reserve(reserve_of(*front_->quotas, lanes_.core_needs_little));
    shed_hopeless();
    LaneReservations reservations(lanes_.aside);
    std::vector<Work> works;
    ++rounds_;
    serve(order_, reservations, works);
    // Others stand before them in line, and may not have what is kept for them.
    if (!core_order_.empty() && lanes_.rooms.only_reserve_is_left())
      serve(core_order_, reservations, works);
    if (!works.empty()) {
      note_rate(works);
      give(works);
    }
    ask_for_room();
  }

  /// What no lane has room for has one kept for it (scheduling/lane_reservations.h) and waits on,
  /// and those behind it may have the others.
  void serve(WaitingOrder& order, LaneReservations& reservations, std::vector<Work>& works) {
    bool of_core = &order == &core_order_;
    std::size_t passed = 0;
    while (is_open(reservations, 0) && passed < kLooksMax) {
      if (!of_core && lanes_.rooms.only_reserve_is_left()) break;
      const WaitingOrder::Item* item = order.next();
      if (!item) break;
      auto found = works_.find(item->id);
      CHECK(found != works_.end());
      Work& work = found->second.work;
      TimePoint now = front_->clock->now();
      if (!work.is_wanted() || is_hopeless(found->second, now)) {
        if (work.is_wanted()) tell_shed(work);
        leaves(work);
        life_.leases->remove(work.id, work.epoch);
        forget(found);
        continue;
      }
      LaneRooms::Need need = need_of(work, lanes_.rooms, lanes_.newest);
      std::set<LaneId> closed = reservations.closed_to(work.class_index);
      bool gives_way = close_to_victims(closed, need, now);
      if (auto lane = lanes_.rooms.choose(need, closed)) {
        lanes_.rooms.take(*lane, need.taken());
        reservations.took(*lane);
        note_served(found->second, now);
        work.lane = lane;
        work.blocks = need.blocks;
        order.take();
        front_->record(trace::Picked{work.id, work.epoch, *lane, rounds_, of_core});
        works.push_back(take(found));
        continue;
      }
      // Who has a place, and only waits until prompts before its own are computed, does so for a
      // moment. For all others one is kept.
      if (!lanes_.rooms.has_room(need, closed))
        if (auto lane = lanes_.rooms.soonest(need, closed))
          reservations.keep(*lane, work.class_index, found->second.passed);
      // Those of its class are not asked in vain: its turn would not end.
      bool whole_class = gives_way || !is_open(reservations, work.class_index);
      order.pass(whole_class);
      front_->record(trace::Passed{work.id, work.epoch, rounds_, whole_class});
      ++passed;
    }
    order.end_round();
  }

  // --- who gives way ----------------------------------------------------------------------------

  /// If the most urgent of those who wait have done so for a while, and less urgent work has more
  /// of a lane than its class keeps, that lane is to make room for them.
  void ask_for_room() {
    TimePoint now = front_->clock->now();
    for (std::uint8_t class_index = 0; class_index + 1U < WaitingOrder::kClasses; ++class_index) {
      const WaitingOrder::Item* first = order_.first(class_index);
      if (first == nullptr) continue;
      const Waiting& waiting = works_.at(first->id);
      LaneRooms::Need need = need_of(waiting.work, lanes_.rooms, lanes_.newest);
      Preemption::Keeps keeps = keeps_against(need.owner);
      auto lane = lanes_.rooms.lane_to_clear(need, keeps, lanes_.aside);
      if (!lane) continue;
      Duration left = waiting.since + kPatience - now;
      if (auto asked = asked_.find(*lane); asked != asked_.end())
        left = std::max(left, asked->second.at + kPatience - now);
      if (left > Duration::zero()) {
        look_again_in(left);
        return;
      }
      asked_[*lane] = {now, class_index, keeps};
      const LaneRooms::Lane& full = *lanes_.rooms.find(*lane);
      auto places =
          static_cast<std::uint32_t>(std::min<std::size_t>(order_.size(class_index), kVictimsMax));
      std::uint32_t blocks = need.blocks - std::min(need.blocks, full.blocks_free);
      front_->tell(front_->executors.at(*lane).role,
                   MakeRoom{*lane, {class_index, places, blocks, keeps}});
      look_again_in(kPatience);
      return;
    }
  }

  /// A lane that makes room for others is closed to work of those that give way, beyond what their
  /// class keeps. True: some is.
  bool close_to_victims(std::set<LaneId>& closed, const LaneRooms::Need& need, TimePoint now) {
    bool is_closed = false;
    std::uint8_t class_index = need.owner.class_index;
    for (const auto& [id, asked] : asked_) {
      const LaneRooms::Lane* lane = lanes_.rooms.find(id);
      if (!lane || class_index <= asked.class_index || now - asked.at > kPatience) continue;
      if (order_.size(asked.class_index) == 0) continue;
      LaneRooms::Share held = lane->by_class[class_index];
      held.places += 1;
      held.blocks += need.blocks;
      if (!LaneRooms::exceeds(held, asked.keeps[class_index], {lane->slots, lane->blocks}))
        continue;
      closed.insert(id);
      is_closed = true;
    }
    return is_closed;
  }

  /// What classes keep when this work wants room. Nothing of what is lent, nor where the ladder
  /// lets go of them.
  [[nodiscard]] Preemption::Keeps keeps_against(const LaneRooms::Owner& owner) const {
    Preemption::Keeps keeps = Preemption::kKeeps;
    std::uint32_t level = front_->degradation.level();
    if (level >= DegradationLadder::kCritical)
      keeps[static_cast<std::size_t>(PriorityClass::low)] = 0.0;
    if (level > DegradationLadder::kCritical)
      keeps[static_cast<std::size_t>(PriorityClass::batch)] = 0.0;
    if (owner.core && lanes_.rooms.reserve().lent_to_low)
      keeps[static_cast<std::size_t>(PriorityClass::low)] = 0.0;
    return keeps;
  }

  void look_again_in(Duration time) {
    if (std::exchange(ticking_, true)) return;
    delayed_send(this, time, Tick{});
  }

  // --- who would come too late ------------------------------------------------------------------

  /// The time after which it cannot make its deadline any more.
  [[nodiscard]] static std::optional<TimePoint> latest_start(const Work& work) {
    if (work.deadline == TimePoint::max() || !work.may_be_shed) return std::nullopt;
    return work.deadline - work.run;
  }
  void note_latest_start(const Work& work) {
    if (auto latest = latest_start(work))
      latest_starts_[work.class_index].emplace(*latest, work.id);
  }
  void forget_latest_start(const Work& work) {
    if (auto latest = latest_start(work))
      latest_starts_[work.class_index].erase({*latest, work.id});
  }

  /// It has waited, and now its answer would come too late: a lane's time is for others.
  [[nodiscard]] static bool is_hopeless(const Waiting& waiting, TimePoint now) {
    auto latest = latest_start(waiting.work);
    return latest && *latest < now &&
           now - waiting.since > StandingQueue::target(waiting.work.class_index);
  }

  /// While a queue stands, whoever cannot make it any more is told so at once.
  void shed_hopeless() {
    TimePoint now = front_->clock->now();
    for (std::size_t class_index = 0; class_index < WaitingOrder::kClasses; ++class_index) {
      if (order_.size(class_index) == 0) standing_.emptied(class_index);
      if (!standing_.stands(class_index)) continue;
      auto& latest = latest_starts_[class_index];
      while (!latest.empty() && latest.begin()->first < now) {
        auto found = works_.find(latest.begin()->second);
        CHECK(found != works_.end());
        if (!is_hopeless(found->second, now)) break;
        const Work& work = found->second.work;
        tell_shed(work);
        leaves(work);
        life_.leases->remove(work.id, work.epoch);
        forget(found);
      }
    }
  }

  static void tell_shed(const Work& work) {
    caf::anon_send(work.session,
                   Shed{work.id,
                        work.epoch,
                        "The server is overloaded: the request has waited so long that its answer "
                        "would come after its deadline. It was not started."});
  }

  void note_served(const Waiting& waiting, TimePoint now) {
    if (!waiting.work.resumed) standing_.served(waiting.work.class_index, now - waiting.since, now);
  }

  // --- the lanes --------------------------------------------------------------------------------

  /// Some lane has room and is not kept from the class.
  [[nodiscard]] bool is_open(const LaneReservations& reservations, std::uint8_t class_index) const {
    std::set<LaneId> closed = reservations.closed_to(class_index);
    const auto& lanes = lanes_.rooms.lanes();
    return std::any_of(lanes.begin(), lanes.end(), [&](const LaneRooms::Lane& lane) {
      return lane.room() > 0 && !closed.contains(lane.id) &&
             lane.prompts.of(class_index, 0) < lane.prompts_most();
    });
  }

  void give(const std::vector<Work>& works) {
    std::uint64_t number = ++batches_;
    for (const Work& work : works)
      leaves(work);
    auto kept = hand_over(
        front_->tree->registry(), model_->batcher, works, [&](const std::vector<Work>& given) {
          return Batch{life_.number, number, given};
        });
    for (const Work& work : works)
      if (work.lane) given_.push_back({number, work.id, *work.lane, work.taken()});
    for (const Work& work : kept) {
      // Nobody wants it any more, and nobody will say that its place is free.
      auto given = std::find_if(
          given_.rbegin(), given_.rend(), [&](const Given& one) { return work.id == one.id; });
      if (given == given_.rend()) continue;
      lanes_.rooms.give_back(given->lane, given->taken);
      given_.erase(std::next(given).base());
    }
    FAULT_POINT("queue.handed_over");
    for (const Work& work : works)
      life_.leases->remove(work.id, work.epoch);
  }

  void on_drop(const Drop& drop) {
    auto found = works_.find(drop.id);
    if (found != works_.end() && found->second.work.epoch <= drop.epoch) {
      leaves(found->second.work);
      forget(found);
      life_.leases->remove(drop.id, drop.epoch);
      feed();  // what stood behind it may fit
    } else {
      front_->tell(model_->batcher.role, drop);
    }
  }

  /// What has begun on weights that no lane runs any more cannot go on: others would continue it
  /// with another text.
  [[nodiscard]] bool is_orphan(const Work& work) const {
    return work.weights != 0 && lanes_.all_known && !lanes_.rooms.runs(work.weights);
  }

  /// Looks at all that waits only when the lanes run other weights than before.
  void end_orphans() {
    std::set<std::uint64_t> weights;
    if (lanes_.all_known)
      for (const LaneRooms::Lane& lane : lanes_.rooms.lanes())
        weights.insert(lane.weights);
    if (std::exchange(weights_, weights) == weights_) return;
    fail_if([this](const Work& work) { return is_orphan(work); }, kWeightsReplaced);
  }

  template <class Predicate>
  void fail_if(Predicate fails, const char* why) {
    for (auto entry = works_.begin(); entry != works_.end();) {
      auto next = std::next(entry);
      if (fails(entry->second.work)) {
        fail(entry->second.work, why);
        forget(entry);
      }
      entry = next;
    }
  }

  void publish() {
    publish_room();
    model_->queued.store(works_.size(), std::memory_order_relaxed);
    if (std::uint64_t starved = order_.starved(); starved != starved_) {
      model_->starved += starved - std::exchange(starved_, starved);
      spdlog::error("model {}: a class that waits has had too little of the lanes", model_->name);
    }
  }

  /// Says what whoever comes now finds on the lanes.
  void publish_room() {
    WaitBoard::Room room;
    // Lanes that start, or are on probation, are about to take more than they do now.
    const auto& lanes = lanes_.rooms.lanes();
    bool ramps = std::any_of(lanes.begin(), lanes.end(), [](const LaneRooms::Lane& lane) {
      return lane.gate.weight > 0.0 && lane.gate.permits < lane.slots;
    });
    for (std::uint8_t i = 0; i < WaitBoard::kClasses; ++i) {
      LaneRooms::Owner owner{i, false};
      room.free.at(i) = lanes_.rooms.free_places(owner, lanes_.aside);
      Preemption::Keeps keeps = keeps_against(owner);
      for (const LaneRooms::Lane& lane : lanes) {
        if (lane.gate.weight <= 0.0 || lanes_.aside.contains(lane.id)) continue;
        if (lane.excess_below(i, keeps) > 0) room.patience.at(i) = kPatience;
      }
    }
    room.free_to_core = lanes_.rooms.free_places({0, true}, lanes_.aside);
    if (lanes_.all_known && !ramps) room.ends = lanes_.rooms.ends(lanes_.aside);
    model_->waits.set_room(room);
  }

  /// Says how fast what waits is worked off. What lanes seem to need changes with every step; only
  /// when it has changed for good is everything counted by it.
  void measure_anew() {
    double capacity = lanes_.rooms.capacity();
    if (std::exchange(capacity_, capacity) != capacity) rate_.forget();
    WaitBoard::Costs costs = lanes_.rooms.costs();
    auto differ = [](double a, double b) { return std::abs(a - b) > 0.2 * std::max(a, b); };
    bool changed = differ(costs.row_us, costs_.row_us) || differ(costs.token_us, costs_.token_us);
    if (changed) costs_ = costs;
    for (std::uint8_t i = 0; i < WaitBoard::kClasses; ++i)
      shares_.others.at(i) = lanes_.rooms.speed({i, false});
    shares_.core = lanes_.rooms.speed({0, true});
    double rate = capacity > 0 ? rate_.per_second(capacity) : 0.0;
    model_->waits.set_pace(costs_, rate, shares_);
    if (!changed) return;
    Duration before{};
    Duration after{};
    for (auto& [id, waiting] : works_) {
      Work& work = waiting.work;
      before += work.cost;
      forget_latest_start(work);
      estimate(work);
      after += work.cost;
      note_latest_start(work);
    }
    if (before > Duration::zero()) {
      rate_.rescale(static_cast<double>(after.count()) / static_cast<double>(before.count()));
    } else {
      rate_.forget();
    }
    model_->waits.set_pace(costs_, capacity > 0 ? rate_.per_second(capacity) : 0.0, shares_);
    count_anew();
  }

  void estimate(Work& work) const {
    work.cost = model_->waits.cost(work.rows(), work.expected_left());
    work.run = model_->waits.run(work.rows(), work.expected_left());
  }

  /// The lanes are as fast as whoever waits is allowed to make them. It is counted as if that were
  /// as fast as they can.
  void note_rate(const std::vector<Work>& served) {
    double share = core_order_.empty() ? 0.0 : shares_.core;
    for (std::size_t i = 0; i < WaitBoard::kClasses; ++i)
      if (order_.size(i) > 0) share = std::max(share, shares_.others.at(i));
    bool waits = share > 0.0;
    TimePoint now = front_->clock->now();
    for (const Work& work : served) {
      // It has had a place that is kept for its like, and those who wait had no less for it.
      if (waits && core_order_.empty() && work.core) continue;
      double part = waits ? share : shares_.others.at(work.class_index);
      rate_.served(std::chrono::duration_cast<Duration>(work.cost / part), work.run, waits, now);
    }
  }

  /// What was counted for an earlier incarnation may never have come here.
  void count_anew() {
    model_->waits.forget();
    TimePoint now = front_->clock->now();
    for (const auto& [id, waiting] : works_) {
      const Work& work = waiting.work;
      model_->waits.enter(work.class_index, work.tenant, work.tenant_weight, work.cost, now);
    }
  }

  /// Its place in the order is another one from now on.
  void on_rank(const Rank& rank) {
    auto found = works_.find(rank.id);
    if (found == works_.end()) return;
    Work& work = found->second.work;
    work.behind = rank.behind;
    core_order_.set_behind(rank.id, rank.behind);
    const WaitingOrder::Item* item = order_.set_behind(rank.id, rank.behind);
    CHECK(item != nullptr);
    front_->record(trace::Unqueued{work.id, work.epoch});
    record_queued(work, *item);
  }

  void record_queued(const Work& work, const WaitingOrder::Item& item) const {
    front_->record(trace::Queued{model_number(),
                                 work.id,
                                 work.epoch,
                                 item.class_index,
                                 item.tenant,
                                 item.tenant_weight,
                                 item.arrival,
                                 item.priority,
                                 item.resumed,
                                 item.cost,
                                 item.tokens,
                                 item.behind,
                                 work.core});
  }

  /// As traces name the model.
  [[nodiscard]] std::uint32_t model_number() const {
    auto found = std::find(front_->models.begin(), front_->models.end(), model_);
    return static_cast<std::uint32_t>(found - front_->models.begin());
  }

  /// It does not wait here any more.
  Work take(std::unordered_map<SequenceId, Waiting>::iterator entry) {
    order_.remove(entry->first);
    core_order_.remove(entry->first);
    forget_latest_start(entry->second.work);
    Work work = std::move(entry->second.work);
    works_.erase(entry);
    return work;
  }
  /// Nor is it given to a lane.
  void forget(std::unordered_map<SequenceId, Waiting>::iterator entry) {
    Work work = take(entry);
    front_->record(trace::Unqueued{work.id, work.epoch});
  }

  /// Nor is it counted.
  void leaves(const Work& work, bool counted = true) {
    if (counted) model_->waits.leave(work.class_index, work.tenant, work.cost);
  }

  void fail(const Work& work, const char* why) {
    leaves(work);
    life_.leases->remove(work.id, work.epoch);
    caf::anon_send(work.session,
                   SequenceFailed{work.id, work.epoch, {ErrorCode::unavailable, why}});
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  Incarnation life_;
  WaitingOrder order_{front_->options.order};
  std::uint64_t rounds_ = 0;  ///< in which lanes were filled
  WaitingOrder core_order_{
      front_->options.order};  ///< of those who may have what is kept for the core API
  /// By class, of those that have not begun and have a deadline.
  std::array<std::set<std::pair<TimePoint, SequenceId>>, WaitingOrder::kClasses> latest_starts_;
  StandingQueue standing_;
  /// For which class a lane was asked to make room, last, and when.
  struct Asked {
    TimePoint at;
    std::uint8_t class_index = 0;
    Preemption::Keeps keeps{};
  };
  std::map<LaneId, Asked> asked_;
  bool ticking_ = false;
  std::unordered_map<SequenceId, Waiting> works_;
  Pull lanes_;                       ///< what they can take, less what was given since
  std::deque<Given> given_;          ///< that the batcher had not counted
  std::uint64_t batches_ = 0;        ///< given
  std::set<std::uint64_t> weights_;  ///< that lanes run, while all are known
  WaitBoard::Costs costs_;           ///< by which what waits is counted
  WaitBoard::Shares shares_;
  ServiceRate rate_;           ///< at which it is worked off
  double capacity_ = 0.0;      ///< of the lanes, when it was measured
  std::uint64_t starved_ = 0;  ///< of `order_`, that was told
};

}  // namespace

caf::actor spawn_queue(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       std::shared_ptr<ServedModel> model,
                       const Incarnation& life) {
  return system.spawn<Queue>(std::move(front), std::move(model), life);
}

}  // namespace sluice
