#include "plugins/instance.h"

#include "base/check.h"
#include "base/utf8.h"
#include "plugins/plugin_host.h"

#include <exception>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kReasonBytesMax = 1000;

sluice_str as_str(std::string_view text) {
  return {text.data(), text.size()};
}

/// What a plugin gave as reason, fit to be shown.
std::string reason_of(sluice_str text) {
  if (!text.ptr || text.len == 0) return {};
  return repair_utf8(excerpt({text.ptr, text.len}, kReasonBytesMax));
}

/// Calls into the plugin. No exception may cross, but one that does is better caught here.
template <class Function>
sluice_status guarded(Function function, std::string& failure) {
  try {
    return function();
  } catch (const std::exception& error) {
    failure = std::string("it threw an exception: ") + error.what();
  } catch (...) {
    failure = "it threw an exception";
  }
  return SLUICE_ERROR;
}

template <class Function>
void guarded(sluice_host* host, Function function) {
  std::string failure;
  guarded([&]() -> sluice_status { return function(), SLUICE_OK; }, failure);
  if (!failure.empty()) host->log(SLUICE_LOG_ERROR, failure);
}

}  // namespace

Result<std::unique_ptr<PluginInstance>> PluginInstance::create(
    std::shared_ptr<const PluginLibrary> library,
    const std::string& name,
    std::string_view config_json,
    PluginSink& sink,
    const Clock& clock,
    PluginLimits limits) {
  auto config = library->manifest().config.apply(config_json, "plugin " + name);
  if (!config) return config.error();
  const sluice_plugin& table = library->table();
  sluice_host* host = sluice_host::make(library->manifest(), sink, clock, limits);
  std::unique_ptr<PluginInstance> made(new PluginInstance(std::move(library), name, host));
  sluice_str error{};
  std::string failure;
  sluice_status status = guarded(
      [&] {
        return table.create(&sluice_host::api(), host, as_str(*config), &made->self_, &error);
      },
      failure);
  made->created_ = status == SLUICE_OK;
  if (made->created_) return made;
  if (failure.empty()) failure = reason_of(error);
  if (failure.empty()) failure = "status " + std::to_string(status);
  return Error{ErrorCode::invalid_argument, "plugin " + name + " does not start: " + failure};
}

PluginInstance::~PluginInstance() {
  host_->cancel_all();
  if (created_) guarded(host_, [&] { library_->table().destroy(self_); });
  host_->close();
}

void PluginInstance::start(HookCall call) {
  if (call.hook >= Hook::observe) return host_->reply(answer_at_once(call));
  if (!(manifest().hooks & hook_bit(call.hook)))
    return host_->reply({call.id, call.hook, HookStatus::skip, {}, {}});
  sluice_call number = host_->open(call);
  if (number == 0) return;
  std::string failure;
  sluice_status status = guarded([&] { return run_hook(call.hook, number, call); }, failure);
  settle(number, status, failure);
}

void PluginInstance::settle(sluice_call number, sluice_status status, const std::string& failure) {
  const sluice_plugin& table = library_->table();
  switch (host_->settle(number, status, failure)) {
    case sluice_host::Missed::nothing:
      return;
    case sluice_host::Missed::cancel:
      if (table.on_cancel) guarded(host_, [&] { table.on_cancel(self_, number); });
      return;
    case sluice_host::Missed::credit:
      if (table.on_credit) guarded(host_, [&] { table.on_credit(self_, number); });
      return;
  }
}

sluice_status PluginInstance::run_hook(Hook hook, sluice_call number, const HookCall& call) {
  const sluice_plugin& table = library_->table();
  switch (hook) {
    case Hook::admission:
      return table.on_admission(self_, number);
    case Hook::preprocess:
      return table.on_preprocess(self_, number);
    case Hook::route:
      return table.on_route(self_, number);
    case Hook::output: {
      std::uint32_t flags = 0;
      if (call.last || call.aborted) flags |= SLUICE_OUTPUT_LAST;
      if (call.aborted) flags |= SLUICE_OUTPUT_ABORTED;
      sluice_output output{
          sizeof(sluice_output), flags, call.stream, as_str(host_->payload_of(number))};
      return table.on_output(self_, number, &output);
    }
    case Hook::postprocess:
      return table.on_postprocess(self_, number);
    case Hook::execute:
      return table.execute(self_, &number, 1);
    case Hook::observe:
    case Hook::health:
    case Hook::reload:
      break;
  }
  CHECK(!"a hook that takes a call");
  return SLUICE_ERROR;
}

HookReply PluginInstance::answer_at_once(const HookCall& call) {
  const sluice_plugin& table = library_->table();
  HookReply reply{call.id, call.hook, HookStatus::ok, {}, {}};
  sluice_str reason{};
  std::string failure;
  sluice_status status = SLUICE_SKIP;
  if (call.hook == Hook::observe && (manifest().hooks & SLUICE_HOOK_OBSERVE)) {
    status =
        guarded([&] { return table.observe(self_, as_str(call.payload)), SLUICE_OK; }, failure);
  } else if (call.hook == Hook::health) {
    status =
        table.health ? guarded([&] { return table.health(self_, &reason); }, failure) : SLUICE_OK;
  } else if (call.hook == Hook::reload && table.reload) {
    auto config = manifest().config.apply(call.payload, "plugin " + name_);
    if (!config) return {call.id, call.hook, HookStatus::error, {}, config.error().message};
    status = guarded([&] { return table.reload(self_, as_str(*config), &reason); }, failure);
  }
  reply.detail = failure.empty() ? reason_of(reason) : failure;
  if (status == SLUICE_SKIP) {
    reply.status = HookStatus::skip;
  } else if (status != SLUICE_OK) {
    reply.status = HookStatus::error;
  }
  return reply;
}

void PluginInstance::start_batch(std::vector<HookCall> calls) {
  if (!(manifest().hooks & SLUICE_HOOK_EXECUTE)) {
    for (HookCall& call : calls)
      start(std::move(call));
    return;
  }
  std::vector<sluice_call> numbers;
  for (HookCall& call : calls) {
    CHECK(call.hook == Hook::execute);
    if (sluice_call number = host_->open(call); number != 0) numbers.push_back(number);
  }
  if (numbers.empty()) return;
  std::string failure;
  sluice_status status = guarded(
      [&] {
        return library_->table().execute(
            self_, numbers.data(), static_cast<std::uint32_t>(numbers.size()));
      },
      failure);
  for (sluice_call number : numbers)
    settle(number, status, failure);
}

void PluginInstance::cancel(PluginCallId id) {
  sluice_call number = host_->cancel(id);
  const sluice_plugin& table = library_->table();
  if (number != 0 && table.on_cancel) guarded(host_, [&] { table.on_cancel(self_, number); });
}

void PluginInstance::credit(PluginCallId id, std::uint32_t items) {
  sluice_call number = host_->credit(id, items);
  const sluice_plugin& table = library_->table();
  if (number != 0 && table.on_credit) guarded(host_, [&] { table.on_credit(self_, number); });
}

void PluginInstance::advance(TimePoint now) {
  const sluice_plugin& table = library_->table();
  for (sluice_call number : host_->expire(now))
    if (table.on_cancel) guarded(host_, [&] { table.on_cancel(self_, number); });
  for (std::uint64_t number : host_->due_timers(now)) {
    auto timer = host_->take_timer(number, now);
    if (timer) guarded(host_, [&] { timer->run(timer->context); });
  }
}

std::optional<TimePoint> PluginInstance::next_due() const {
  return host_->next_due();
}

PluginCounts PluginInstance::counts() const {
  return host_->counts();
}

std::vector<PluginMetricValue> PluginInstance::metrics() const {
  return host_->metrics();
}

void PluginInstance::flag_cancelled(PluginCallId id) {
  host_->flag_cancelled(id);
}

}  // namespace sluice
