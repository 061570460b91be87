#include "plugins/plugin_host.h"

#include "base/check.h"
#include "base/utf8.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>

namespace {

using sluice::CallForm;
using sluice::CallKey;
using sluice::Hook;
using sluice::PluginMetric;

constexpr unsigned kSlotBits = 20;  // of a call's number; the rest tells the slot's users apart
constexpr std::size_t kLogBytesMax = 4096;
constexpr std::size_t kDetailBytesMax = 1000;
constexpr std::size_t kTimersMax = 64;
constexpr std::size_t kKeptBytesMax = 1 << 16;  // what a free record keeps of its strings
constexpr std::uint64_t kTimerMsMax = 366ull * 24 * 3600 * 1000;

std::string_view view(sluice_str text) {
  return text.ptr ? std::string_view(text.ptr, text.len) : std::string_view();
}

/// All hosts there ever were, so that tools that look for leaks see them.
void keep(std::unique_ptr<sluice_host> host) {
  static std::mutex mutex;
  static auto& hosts = *new std::vector<std::unique_ptr<sluice_host>>;
  std::lock_guard lock(mutex);
  hosts.push_back(std::move(host));
}

void api_log(sluice_host* host, int32_t level, sluice_str message) {
  host->log(level, view(message));
}
sluice_status api_get(sluice_host* host, sluice_call call, sluice_str key, sluice_str* value) {
  return host->get(call, view(key), *value);
}
sluice_status api_set(sluice_host* host, sluice_call call, sluice_str key, sluice_str value) {
  return host->set(call, view(key), view(value));
}
void api_complete(sluice_host* host, sluice_call call, sluice_status status) {
  host->complete(call, status);
}
int32_t api_cancelled(sluice_host* host, sluice_call call) {
  return host->cancelled(call) ? 1 : 0;
}
sluice_status api_emit(sluice_host* host, sluice_call call, sluice_str item) {
  return host->emit(call, view(item));
}
void api_metric_add(sluice_host* host, uint32_t metric, double value) {
  host->update_metric(sluice_host::Update::add, metric, value);
}
void api_metric_set(sluice_host* host, uint32_t metric, double value) {
  host->update_metric(sluice_host::Update::set, metric, value);
}
void api_metric_observe(sluice_host* host, uint32_t metric, double value) {
  host->update_metric(sluice_host::Update::observe, metric, value);
}
int64_t api_now_unix_ms(sluice_host* host) {
  return host->now_unix_ms();
}
int64_t api_now_monotonic_ns(sluice_host* host) {
  return host->now_monotonic_ns();
}
uint64_t api_timer_start(
    sluice_host* host, uint64_t first_ms, uint64_t period_ms, void (*run)(void*), void* context) {
  return host->start_timer(first_ms, period_ms, run, context);
}
void api_timer_stop(sluice_host* host, uint64_t timer) {
  host->stop_timer(timer);
}

void release_memory(std::string& text) {
  if (text.capacity() > kKeptBytesMax) text = {};
  text.clear();
}

}  // namespace

const sluice_host_api& sluice_host::api() {
  static const sluice_host_api functions = {
      .struct_size = sizeof(sluice_host_api),
      .abi_major = SLUICE_PLUGIN_ABI_MAJOR,
      .abi_minor = SLUICE_PLUGIN_ABI_MINOR,
      .reserved = 0,
      .log = api_log,
      .call_get = api_get,
      .call_set = api_set,
      .call_complete = api_complete,
      .call_cancelled = api_cancelled,
      .emit = api_emit,
      .metric_add = api_metric_add,
      .metric_set = api_metric_set,
      .metric_observe = api_metric_observe,
      .now_unix_ms = api_now_unix_ms,
      .now_monotonic_ns = api_now_monotonic_ns,
      .timer_start = api_timer_start,
      .timer_stop = api_timer_stop,
  };
  return functions;
}

sluice_host* sluice_host::make(const sluice::PluginManifest& manifest,
                               sluice::PluginSink& sink,
                               const sluice::Clock& clock,
                               sluice::PluginLimits limits) {
  std::unique_ptr<sluice_host> host(new sluice_host(manifest, sink, clock, limits));
  sluice_host* kept = host.get();
  keep(std::move(host));
  return kept;
}

sluice_host::sluice_host(const sluice::PluginManifest& manifest,
                         sluice::PluginSink& sink,
                         const sluice::Clock& clock,
                         sluice::PluginLimits limits)
    : hooks_(manifest.hooks),
      permissions_(manifest.permissions),
      name_(manifest.name),
      metric_rules_(manifest.metrics),
      clock_(&clock),
      limits_(limits),
      sink_(&sink),
      metrics_(manifest.metrics.size()) {
  CHECK(limits.calls_max < (std::size_t{1} << kSlotBits));
  for (std::size_t i = 0; i < metrics_.size(); ++i)
    metrics_[i].buckets.resize(metric_rules_[i].buckets.size());
}

sluice_host::Record* sluice_host::find(sluice_call number) {
  std::size_t slot = number & ((1u << kSlotBits) - 1);
  if (number == 0 || slot >= records_.size() || records_[slot].number != number) return nullptr;
  return &records_[slot];
}

sluice_host::Record* sluice_host::find(Id id) {
  if (auto found = waiting_.find(static_cast<std::uint64_t>(id)); found != waiting_.end())
    return find(found->second);
  // Only calls whose hook is running on another thread are left; they are few and rarely looked
  // for.
  auto record = std::find_if(records_.begin(), records_.end(), [&](const Record& other) {
    return other.number != 0 && other.in_hook && other.id == id;
  });
  return record == records_.end() ? nullptr : &*record;
}

sluice_call sluice_host::open(Call& call) {
  Lock lock(mutex_);
  ++counts_.calls;
  std::size_t unanswered = records_.size() - free_.size();
  if (!sink_ || unanswered >= limits_.calls_max) {
    ++counts_.overflows;
    Reply full{call.id, call.hook, Status::error, {}, {}};
    full.detail = "plugin " + name_ + " has " + std::to_string(unanswered) +
                  " unanswered calls, the limit is " + std::to_string(limits_.calls_max);
    deliver(lock, std::move(full));
    return 0;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(records_.size()));
    records_.emplace_back();
  }
  std::uint32_t slot = free_.back();
  free_.pop_back();
  Record& record = records_[slot];
  record.number = ++record.generation << kSlotBits | slot;
  record.id = call.id;
  record.hook = call.hook;
  record.fields = std::move(call.fields);
  record.payload = std::move(call.payload);
  record.deadline = call.deadline;
  record.outcome.reset();
  record.owned = true;
  record.in_hook = true;
  record.waits = record.delivered = record.flagged = record.starved = false;
  record.credit = call.credit;
  record.items_under_way = 0;
  return record.number;
}

std::string_view sluice_host::payload_of(sluice_call number) {
  Lock lock(mutex_);
  const Record* record = find(number);
  return record ? std::string_view(record->payload) : std::string_view();
}

sluice_host::Missed sluice_host::settle(sluice_call number,
                                        sluice_status status,
                                        const std::string& failure) {
  Lock lock(mutex_);
  Record* record = find(number);
  CHECK(record && record->in_hook);
  record->in_hook = false;
  if (!failure.empty()) record->failure = failure;
  Missed missed = Missed::nothing;
  if (status != SLUICE_PENDING) {
    // What the hook returns is an answer; a batch's is one only for the calls that have none.
    if (record->owned) {
      answer(*record, status);
    } else if (record->hook != Hook::execute) {
      ++counts_.doubled;
    }
  } else if (record->owned && record->outcome) {
    missed = Missed::cancel;
  } else if (record->owned) {
    record->waits = true;
    waiting_.emplace(static_cast<std::uint64_t>(record->id), number);
    if (record->deadline != TimePoint::max()) deadlines_.emplace(record->deadline, number);
    if (record->credit > 0 && std::exchange(record->starved, false)) missed = Missed::credit;
  }
  proceed(lock, *record);
  return missed;
}

void sluice_host::answer(Record& record, sluice_status status) {
  record.owned = false;
  if (record.outcome) {
    ++counts_.late;
    return;
  }
  if (record.deadline != TimePoint::max() && clock_->now() > record.deadline) {
    ++counts_.late;
    return decide(record, Status::timed_out);
  }
  switch (status) {
    case SLUICE_OK:
      return decide(record, Status::ok);
    case SLUICE_SKIP:
      return decide(record, Status::skip);
    case SLUICE_REJECT:
      return decide(record, Status::reject);
    case SLUICE_ERROR:
      return decide(record, Status::error);
    default:
      record.failure = "it answered with the status " + std::to_string(status);
      return decide(record, Status::error);
  }
}

void sluice_host::decide(Record& record, Status status) {
  record.outcome = status;
  stop_waiting(record);
}

void sluice_host::stop_waiting(Record& record) {
  if (!std::exchange(record.waits, false)) return;
  waiting_.erase(static_cast<std::uint64_t>(record.id));
  deadlines_.erase({record.deadline, record.number});
}

void sluice_host::proceed(Lock& lock, Record& record) {
  std::optional<Reply> reply;
  // An item that is under way to the sink goes before the reply.
  bool idle = record.items_under_way == 0;
  if (record.outcome && idle && !record.delivered) {
    record.delivered = true;
    reply = make_reply(record);
  }
  if (record.delivered && !record.owned && !record.in_hook && idle) {
    free_.push_back(static_cast<std::uint32_t>(record.number & ((1u << kSlotBits) - 1)));
    record.number = 0;
    record.fields.clear();
    record.changes.clear();
    release_memory(record.payload);
    release_memory(record.failure);
  }
  if (reply) deliver(lock, std::move(*reply));
}

sluice_host::Reply sluice_host::make_reply(Record& record) {
  Reply reply{record.id, record.hook, *record.outcome, {}, {}};
  bool failed = reply.status == Status::reject || reply.status == Status::error;
  if (reply.status == Status::ok) {
    record.changes.drop_failure();
    reply.changes = std::move(record.changes);
  } else if (failed) {
    std::string_view why =
        record.failure.empty() ? record.changes.get(CallKey::detail) : record.failure;
    reply.detail = sluice::repair_utf8(sluice::excerpt(why, kDetailBytesMax));
    record.changes.keep_failure_code();
    reply.changes = std::move(record.changes);
  }
  if (reply.status != Status::ok && reply.status != Status::skip && reply.detail.empty()) {
    reply.detail = "plugin " + name_ + ", hook " + std::string(to_string(record.hook)) + ": " +
                   std::string(to_string(reply.status));
  }
  return reply;
}

void sluice_host::deliver(Lock& lock, Reply reply) {
  if (!sink_) return;
  sluice::PluginSink* sink = sink_;
  ++in_sink_;
  lock.unlock();
  sink->replied(std::move(reply));
  lock.lock();
  left_sink(lock);
}

void sluice_host::left_sink(Lock&) {
  if (--in_sink_ == 0) sink_left_.notify_all();
}

void sluice_host::reply(Reply reply) {
  Lock lock(mutex_);
  ++counts_.calls;
  deliver(lock, std::move(reply));
}

sluice_call sluice_host::cancel(Id id) {
  Lock lock(mutex_);
  Record* record = find(id);
  if (!record || record->outcome) return 0;
  sluice_call number = record->in_hook ? 0 : record->number;
  decide(*record, Status::cancelled);
  proceed(lock, *record);
  return number;
}

void sluice_host::flag_cancelled(Id id) {
  Lock lock(mutex_);
  if (Record* record = find(id)) record->flagged = true;
}

sluice_call sluice_host::credit(Id id, std::uint32_t items) {
  Lock lock(mutex_);
  Record* record = find(id);
  if (!record || record->outcome) return 0;
  record->credit += std::min(items, UINT32_MAX - record->credit);
  bool wakes = record->credit > 0 && !record->in_hook && std::exchange(record->starved, false);
  return wakes ? record->number : 0;
}

std::vector<sluice_call> sluice_host::expire(TimePoint now) {
  Lock lock(mutex_);
  std::vector<sluice_call> expired;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    sluice_call number = deadlines_.begin()->second;
    Record& record = *find(number);
    expired.push_back(number);
    decide(record, Status::timed_out);
    proceed(lock, record);
  }
  return expired;
}

std::vector<std::uint64_t> sluice_host::due_timers(TimePoint now) const {
  Lock lock(mutex_);
  std::vector<std::uint64_t> due;
  for (const auto& [number, timer] : timers_)
    if (timer.due <= now) due.push_back(number);
  return due;
}

std::optional<sluice_host::Timer> sluice_host::take_timer(std::uint64_t number, TimePoint now) {
  Lock lock(mutex_);
  auto found = timers_.find(number);
  if (found == timers_.end() || found->second.due > now) return std::nullopt;
  Timer timer = found->second;
  if (timer.period_ms == 0) {
    timers_.erase(found);
  } else {
    found->second.due = now + std::chrono::milliseconds(timer.period_ms);
  }
  return timer;
}

std::optional<sluice::TimePoint> sluice_host::next_due() const {
  Lock lock(mutex_);
  std::optional<TimePoint> due;
  if (!deadlines_.empty()) due = deadlines_.begin()->first;
  for (const auto& [number, timer] : timers_)
    due = due ? std::min(*due, timer.due) : timer.due;
  return due;
}

sluice::PluginCounts sluice_host::counts() const {
  Lock lock(mutex_);
  return counts_;
}

std::vector<sluice::PluginMetricValue> sluice_host::metrics() const {
  std::lock_guard lock(metrics_mutex_);
  return metrics_;
}

void sluice_host::cancel_all() {
  Lock lock(mutex_);
  for (std::size_t i = 0; i < records_.size(); ++i) {
    Record& record = records_[i];
    if (record.number == 0 || record.outcome) continue;
    decide(record, Status::cancelled);
    proceed(lock, record);
  }
}

void sluice_host::close() {
  Lock lock(mutex_);
  sink_left_.wait(lock, [&] { return in_sink_ == 0; });
  sink_ = nullptr;
  clock_ = nullptr;
  records_ = {};
  free_ = {};
  waiting_ = {};
  deadlines_ = {};
  timers_ = {};
}

void sluice_host::log(int level, std::string_view message) {
  std::string line = sluice::repair_utf8(sluice::excerpt(message, kLogBytesMax));
  Lock lock(mutex_);
  if (!sink_) return;
  sluice::PluginSink* sink = sink_;
  ++in_sink_;
  lock.unlock();
  sink->log(std::clamp<int>(level, SLUICE_LOG_DEBUG, SLUICE_LOG_ERROR), line);
  lock.lock();
  left_sink(lock);
}

sluice_status sluice_host::get(sluice_call number, std::string_view name, sluice_str& value) {
  auto key = sluice::find_call_key(name);
  Lock lock(mutex_);
  Record* record = find(number);
  if (!record || !key) {
    ++counts_.refused_reads;
    return SLUICE_ERROR;
  }
  const sluice::CallKeyRule& rule = rule_of(*key);
  if (!(rule.readers & hook_bit(record->hook)) || (rule.permission & ~permissions_)) {
    ++counts_.refused_reads;
    return SLUICE_ERROR;
  }
  const std::string* found = nullptr;
  if (*key == CallKey::text || *key == CallKey::input) {
    found = &record->payload;
  } else if (*key == CallKey::header) {
    found = record->fields.find(*key, name.substr(rule.name.size()));
  } else {
    found = record->fields.find(*key);
  }
  if (!found) return SLUICE_SKIP;
  value = {found->data(), found->size()};
  return SLUICE_OK;
}

sluice_status sluice_host::set(sluice_call number, std::string_view name, std::string_view value) {
  auto key = sluice::find_call_key(name);
  bool sound =
      key && value.size() <= limits_.value_bytes_max && has_form(rule_of(*key).form, value);
  Lock lock(mutex_);
  Record* record = find(number);
  bool allowed = sound && record && record->owned &&
                 (rule_of(*key).writers & hook_bit(record->hook)) &&
                 !(rule_of(*key).permission & ~permissions_);
  if (!allowed) {
    ++counts_.refused_writes;
    return SLUICE_ERROR;
  }
  if (record->outcome) return SLUICE_SKIP;
  record->changes.set(*key, std::string(value));
  return SLUICE_OK;
}

void sluice_host::complete(sluice_call number, sluice_status status) {
  Lock lock(mutex_);
  Record* record = find(number);
  if (!record || !record->owned) {
    ++counts_.doubled;
    return;
  }
  answer(*record, status);
  proceed(lock, *record);
}

bool sluice_host::cancelled(sluice_call number) {
  Lock lock(mutex_);
  const Record* record = find(number);
  if (!record || record->outcome || record->flagged) return true;
  return record->deadline != TimePoint::max() && clock_->now() > record->deadline;
}

sluice_status sluice_host::emit(sluice_call number, std::string_view item) {
  Lock lock(mutex_);
  Record* record = find(number);
  if (!record || !record->owned || record->hook != Hook::execute ||
      item.size() > limits_.item_bytes_max) {
    ++counts_.refused_items;
    return SLUICE_ERROR;
  }
  if (record->outcome || record->flagged) return SLUICE_OK;
  if (record->credit == 0) {
    record->starved = true;
    return SLUICE_SKIP;
  }
  --record->credit;
  ++record->items_under_way;
  ++in_sink_;
  Id id = record->id;
  sluice::PluginSink* sink = sink_;
  lock.unlock();
  sink->item(id, std::string(item));
  lock.lock();
  --record->items_under_way;
  proceed(lock, *record);
  left_sink(lock);
  return SLUICE_OK;
}

void sluice_host::update_metric(Update update, std::uint32_t metric, double value) {
  bool known = metric < metric_rules_.size() && std::isfinite(value);
  if (known) {
    PluginMetric::Kind kind = metric_rules_[metric].kind;
    bool histogram = kind == PluginMetric::Kind::histogram;
    bool counter = kind == PluginMetric::Kind::counter;
    if (update == Update::add) known = !histogram && !(counter && value < 0);
    if (update == Update::set) known = kind == PluginMetric::Kind::gauge;
    if (update == Update::observe) known = histogram;
  }
  if (!known) {
    Lock lock(mutex_);
    ++counts_.refused_metrics;
    return;
  }
  std::lock_guard lock(metrics_mutex_);
  sluice::PluginMetricValue& state = metrics_[metric];
  if (update == Update::set) {
    state.value = value;
    return;
  }
  state.value += value;
  if (update == Update::add) return;
  ++state.count;
  const std::vector<double>& bounds = metric_rules_[metric].buckets;
  auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  if (bucket < static_cast<std::ptrdiff_t>(bounds.size()))
    ++state.buckets[static_cast<std::size_t>(bucket)];
}

std::int64_t sluice_host::now_unix_ms() {
  Lock lock(mutex_);
  if (!clock_) return 0;
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_->wall().time_since_epoch())
      .count();
}

std::int64_t sluice_host::now_monotonic_ns() {
  Lock lock(mutex_);
  return clock_ ? clock_->now().time_since_epoch().count() : 0;
}

std::uint64_t sluice_host::start_timer(std::uint64_t first_ms,
                                       std::uint64_t period_ms,
                                       void (*run)(void*),
                                       void* context) {
  Lock lock(mutex_);
  if (!sink_ || !run || timers_.size() >= kTimersMax) return 0;
  auto first = std::chrono::milliseconds(std::min(first_ms, kTimerMsMax));
  std::uint64_t number = ++timers_started_;
  timers_[number] = {clock_->now() + first, std::min(period_ms, kTimerMsMax), run, context};
  return number;
}

void sluice_host::stop_timer(std::uint64_t number) {
  Lock lock(mutex_);
  timers_.erase(number);
}
