#include "trace/order_judge.h"

#include "trace/sentences.h"

#include <algorithm>
#include <cstdio>
#include <string>

namespace sluice::trace {
namespace {

using std::chrono::milliseconds;

constexpr std::array<double, 3> kWeights{8, 3, 1};
constexpr std::array<Duration, 3> kReference{
    milliseconds(50), milliseconds(200), milliseconds(200)};
constexpr Duration kCostMax = std::chrono::seconds(10);
constexpr std::int32_t kPriorityMax = 100;
/// Sums of seconds, and places, are not exact.
constexpr Duration kRounding = std::chrono::microseconds(1);
constexpr double kRoundedSeconds = 1e-6;
/// Charges are whole numbers of such parts of a token, rounded down: what is rounded adds up.
constexpr std::uint64_t kTokenParts = 1024;

constexpr std::array<const char*, 3> kClassNames{"realtime", "batch", "low"};

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

}  // namespace

// --- a race --------------------------------------------------------------------------------------

void Race::wait(std::uint32_t who, bool waits) {
  if (waits) {
    waiting_.insert(who);
  } else if (waiting_.erase(who) > 0) {
    leads_.erase(who);
    for (auto& [other, leads] : leads_)
      leads.erase(who);
  }
}

void Race::expect(std::uint32_t who, double part) {
  double& largest = largest_[who];
  largest = std::max(largest, part);
}

std::optional<Race::Lead> Race::give(std::uint32_t who, double part, double margin) {
  std::optional<Lead> too_much;
  std::map<std::uint32_t, double>& own = leads_[who];
  for (std::uint32_t other : waiting_) {
    if (other == who) continue;
    double& lead = own[other];
    lead += part;
    if (auto back = leads_.find(other); back != leads_.end())
      if (auto over = back->second.find(who); over != back->second.end())
        over->second = std::max(0.0, over->second - part);
    double allowed = margin + largest_[who] + largest_[other];
    if (lead > allowed) too_much = Lead{other, lead, allowed};
  }
  return too_much;
}

// --- what waits ----------------------------------------------------------------------------------

void OrderJudge::on(const Offered& offered) {
  lives_[offered.sequence].request = offered.request;
}

/// A request's sequences are numbered from its own number.
void OrderJudge::on(const Ended& ended) {
  auto life = lives_.lower_bound(SequenceId{ended.request.value});
  while (life != lives_.end() && life->second.request == ended.request)
    life = lives_.erase(life);
}

void OrderJudge::on(const AdmissionBorn&) {
  excuse();
}
void OrderJudge::on(const Restarted& restarted) {
  if (restarted.path.ends_with("/admission")) excuse();
}

/// Sessions offer again what may have been lost between admission and the queue, and cannot know
/// whether it was.
void OrderJudge::excuse() {
  for (auto& [id, life] : lives_)
    life.excused = true;
}

/// It has charged nobody yet.
void OrderJudge::on(const QueueBorn& born) {
  models_[born.model] = {};
  std::erase_if(waiting_, [&](const auto& entry) { return entry.second.as.model == born.model; });
  for (auto& [id, life] : lives_)
    if (life.charged == born.model) life.charged.reset();
}

TimePoint OrderJudge::place_of(const Queued& queued) const {
  if (queued.resumed) return queued.arrival;
  __extension__ using Wide = __int128;
  Wide ageing = limits_.ageing[queued.class_index].count();
  Wide reference = kReference[queued.class_index].count();
  Wide bonus = ageing * reference / std::max<Wide>(queued.cost.count(), reference);
  Wide wish = ageing * std::clamp(queued.priority, -kPriorityMax, kPriorityMax) / kPriorityMax;
  Wide behind = queued.behind.count();
  Wide way = ageing * behind / (behind + queued.cost.count() + reference);
  return queued.arrival + Duration(static_cast<Duration::rep>(wish - bonus - way));
}

void OrderJudge::on(const Queued& queued) {
  if (queued.class_index >= kClasses || queued.tenant_weight == 0) {
    violate_("C9", name(queued.sequence) + " is of no class, or of a tenant without weight");
    return;
  }
  if (waiting_.contains(queued.sequence)) {
    violate_("C9", name(queued.sequence) + " waits twice");
    return;
  }
  Life& life = lives_[queued.sequence];
  if (life.arrival && *life.arrival != queued.arrival)
    violate_("C9",
             name(queued.sequence) + " waits again, and its arrival is " +
                 seconds(queued.arrival - *life.arrival) + " later than it was");
  life.arrival = queued.arrival;
  Model& model = models_[queued.model];
  const Waiting& one =
      waiting_.emplace(queued.sequence, Waiting{queued, place_of(queued)}).first->second;
  if (!queued.resumed)
    model.race.expect(queued.class_index,
                      in_seconds(std::min(queued.cost, kCostMax)) / kWeights[queued.class_index]);
  stand(one, true);
}

/// Puts it into its line, or takes it out of there.
void OrderJudge::stand(const Waiting& one, bool in_line) {
  const Queued& as = one.as;
  Model& model = models_[as.model];
  Class& in = model.classes[as.class_index];
  Line& line = as.resumed ? in.resumed : in.tenants[as.tenant];
  std::pair<TimePoint, SequenceId> place{one.place, as.sequence};
  if (in_line) {
    line.insert(place);
  } else {
    line.erase(place);
  }
  if (!as.resumed) {
    in.race.wait(as.tenant, !line.empty());
    if (line.empty()) in.tenants.erase(as.tenant);
  }
  model.race.wait(as.class_index, !in.closed && (!in.resumed.empty() || !in.tenants.empty()));
}

OrderJudge::Waiting* OrderJudge::find(SequenceId id, Epoch epoch, const char* what) {
  auto found = waiting_.find(id);
  if (found != waiting_.end() && found->second.as.epoch == epoch) return &found->second;
  violate_("C9", name(id) + " of epoch " + number(epoch) + " " + what + " and does not wait");
  return nullptr;
}

void OrderJudge::forget(SequenceId id) {
  auto found = waiting_.find(id);
  stand(found->second, false);
  waiting_.erase(found);
  auto life = lives_.find(id);
  if (life != lives_.end() && !life->second.request) lives_.erase(life);
}

void OrderJudge::on(const Unqueued& left) {
  if (find(left.sequence, left.epoch, "leaves its queue")) forget(left.sequence);
}

void OrderJudge::end() {
  for (const auto& [id, one] : waiting_)
    violate_("C9", name(id) + " still waits for a lane");
}

// --- whose turn it is ----------------------------------------------------------------------------

void OrderJudge::begin_round(Model& model, std::uint64_t round) {
  if (std::exchange(model.round, round) == round) return;
  for (std::uint32_t i = 0; i < kClasses; ++i) {
    Class& one = model.classes[i];
    one.closed = false;
    model.race.wait(i, !one.resumed.empty() || !one.tenants.empty());
  }
  for (SequenceId id : std::exchange(model.passed, {}))
    if (auto found = waiting_.find(id); found != waiting_.end()) stand(found->second, true);
}

void OrderJudge::on(const Passed& passed) {
  Waiting* one = find(passed.sequence, passed.epoch, "is passed");
  if (!one) return;
  Model& model = models_[one->as.model];
  begin_round(model, passed.round);
  if (passed.whole_class) model.classes[one->as.class_index].closed = true;
  stand(*one, false);
  model.passed.push_back(passed.sequence);
}

void OrderJudge::on(const Picked& picked) {
  Waiting* one = find(picked.sequence, picked.epoch, "is picked");
  if (!one) return;
  Model& model = models_[one->as.model];
  begin_round(model, picked.round);
  Class& in = model.classes[one->as.class_index];
  if (picked.reserve) {
    if (!one->as.core)
      violate_("C8", name(picked.sequence) + " is picked for the core API and is not of it");
    if (!one->as.resumed) check_tenant(*one, in, true);
  } else {
    check_line(*one, in);
    check_shares(*one, model);
  }
  forget(picked.sequence);
}

void OrderJudge::check_line(const Waiting& picked, const Class& in) {
  const Queued& as = picked.as;
  if (!as.resumed && !in.resumed.empty()) {
    violate_("C9",
             name(as.sequence) + " is picked before " + name(in.resumed.begin()->second) +
                 ", which has had its turn before");
    return;
  }
  if (as.resumed)
    check_place(picked, in.resumed, false);
  else
    check_tenant(picked, in, false);
}

void OrderJudge::check_tenant(const Waiting& picked, const Class& in, bool core_only) {
  auto tenant = in.tenants.find(picked.as.tenant);
  // Else it was passed just now.
  if (tenant != in.tenants.end()) check_place(picked, tenant->second, core_only);
}

///   core_only  others may not have what it was picked for: a tenant may have become one of the
///   core
///              API while its earlier requests, which are not, waited
void OrderJudge::check_place(const Waiting& picked, const Line& line, bool core_only) {
  const Queued& as = picked.as;
  if (line.size() > 1) ++choices_.inside_tenants;
  auto first = std::find_if(line.begin(), line.end(), [&](const auto& place) {
    return !core_only || waiting_.at(place.second).as.core;
  });
  if (first == line.end() || first->first + kRounding >= picked.place) return;
  const Queued& other = waiting_.at(first->second).as;
  violate_("C9",
           name(as.sequence) + " is picked before " + name(other.sequence) + ", which came " +
               seconds(as.arrival - other.arrival) + " earlier and has its place " +
               seconds(picked.place - first->first) + " before it");
}

void OrderJudge::check_shares(const Waiting& picked, Model& model) {
  const Queued& as = picked.as;
  if (model.race.waiting() > 1) ++choices_.between_classes;
  if (as.resumed) return;
  Class& in = model.classes[as.class_index];
  double time = in_seconds(std::min(as.cost, kCostMax)) / kWeights[as.class_index];
  double margin = in_seconds(limits_.quantum) + kRoundedSeconds;
  if (auto lead = model.race.give(as.class_index, time, margin))
    violate_("C9",
             std::string("class ") + kClassNames[as.class_index] + " is given " +
                 decimal(lead->is) + " s of a lane more than class " + kClassNames[lead->over] +
                 " for each of its weight, " + decimal(lead->allowed) + " s are allowed");

  if (in.race.waiting() > 1) ++choices_.between_tenants;
  double tokens = static_cast<double>(as.tokens * kTokenParts / as.tenant_weight) / kTokenParts;
  in.race.expect(as.tenant, tokens);
  if (auto lead = in.race.give(as.tenant, tokens, 0.0))
    violate_("C10",
             "tenant " + number(as.tenant) + " of class " + kClassNames[as.class_index] +
                 " is charged " + decimal(lead->is) + " tokens more than tenant " +
                 number(lead->over) + " for each of its weight, " + decimal(lead->allowed) +
                 " are allowed");

  Life& life = lives_[as.sequence];
  if (life.charged == as.model && !life.excused)
    violate_("C10", name(as.sequence) + " is charged again and has not run");
  life.charged = as.model;
}

}  // namespace sluice::trace
