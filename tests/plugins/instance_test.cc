#include "plugins/instance.h"

#include "tests/plugins/plugin_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A plugin in the words of the C interface, so that it can do what the SDK would not. Its hooks
/// are what a test puts there.
struct Raw {
  const sluice_host_api* api = nullptr;
  sluice_host* host = nullptr;
  std::function<sluice_status(sluice_call)> hook;  ///< admission, preprocess and postprocess
  std::function<sluice_status(sluice_call, const sluice_output&)> output;
  std::function<sluice_status(const sluice_call*, std::uint32_t)> execute;
  std::vector<sluice_call> cancelled;
  std::vector<sluice_call> credited;

  sluice_status set(sluice_call call, std::string_view key, std::string_view value) const {
    return api->call_set(host, call, {key.data(), key.size()}, {value.data(), value.size()});
  }
  /// The value, or how it was denied.
  std::string get(sluice_call call, std::string_view key) const {
    sluice_str value{};
    sluice_status status = api->call_get(host, call, {key.data(), key.size()}, &value);
    if (status == SLUICE_SKIP) return "(absent)";
    return status == SLUICE_OK ? std::string(value.ptr, value.len) : "(refused)";
  }
  void complete(sluice_call call, sluice_status status) const {
    api->call_complete(host, call, status);
  }
  sluice_status emit(sluice_call call, std::string_view item) const {
    return api->emit(host, call, {item.data(), item.size()});
  }
};
Raw* made = nullptr;  // the instance that was created last

const sluice_plugin* raw_table(std::string_view manifest, std::uint32_t hooks) {
  static std::vector<std::unique_ptr<sluice_plugin>> tables;
  tables.push_back(std::make_unique<sluice_plugin>());
  sluice_plugin& table = *tables.back();
  table = {};
  table.struct_size = sizeof table;
  table.abi_major = SLUICE_PLUGIN_ABI_MAJOR;
  table.hooks = hooks;
  table.manifest_json = {manifest.data(), manifest.size()};
  table.create = [](const sluice_host_api* api,
                    sluice_host* host,
                    sluice_str,
                    void** self,
                    sluice_str*) -> sluice_status {
    made = new Raw;
    made->api = api;
    made->host = host;
    *self = made;
    return SLUICE_OK;
  };
  table.destroy = [](void* self) { delete static_cast<Raw*>(self); };
  auto hook = [](void* self, sluice_call call) { return static_cast<Raw*>(self)->hook(call); };
  table.on_admission = hook;
  table.on_preprocess = hook;
  table.on_route = hook;
  table.on_postprocess = hook;
  table.on_output = [](void* self, sluice_call call, const sluice_output* output) {
    return static_cast<Raw*>(self)->output(call, *output);
  };
  table.execute = [](void* self, const sluice_call* calls, std::uint32_t n) {
    return static_cast<Raw*>(self)->execute(calls, n);
  };
  table.on_cancel = [](void* self, sluice_call call) {
    static_cast<Raw*>(self)->cancelled.push_back(call);
  };
  table.on_credit = [](void* self, sluice_call call) {
    static_cast<Raw*>(self)->credited.push_back(call);
  };
  return &table;
}

constexpr std::string_view kAllManifest = R"({"name": "raw", "version": "1.0.0",
    "hooks": ["admission", "preprocess", "route", "output", "postprocess", "execute"],
    "permissions": ["headers", "prompt", "output"],
    "metrics": [{"name": "c_total", "type": "counter", "help": "c"},
                {"name": "g", "type": "gauge", "help": "g"},
                {"name": "h", "type": "histogram", "help": "h", "buckets": [1, 2]}]})";
constexpr std::uint32_t kAllHooks = SLUICE_HOOK_ADMISSION | SLUICE_HOOK_PREPROCESS |
                                    SLUICE_HOOK_ROUTE | SLUICE_HOOK_OUTPUT |
                                    SLUICE_HOOK_POSTPROCESS | SLUICE_HOOK_EXECUTE;

class Instance : public ::testing::Test {
 protected:
  explicit Instance(PluginLimits limits = {})
      : plugin(PluginUnderTest::library_of(raw_table(kAllManifest, kAllHooks)), "{}", limits),
        raw(*made) {}

  PluginCounts counts() const { return plugin.instance->counts(); }
  std::vector<HookStatus> statuses() const {
    std::vector<HookStatus> statuses;
    for (const HookReply& reply : plugin.sink.replies())
      statuses.push_back(reply.status);
    return statuses;
  }

  PluginUnderTest plugin;
  Raw& raw;
};

TEST_F(Instance, KeepsTheFirstAnswerAndCountsFurtherOnes) {
  // In the hook, and then by its return.
  raw.hook = [&](sluice_call call) {
    raw.complete(call, SLUICE_REJECT);
    raw.complete(call, SLUICE_OK);
    return SLUICE_OK;
  };
  plugin.start(Hook::admission);
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::reject));
  EXPECT_EQ(counts().doubled, 2U);

  // Later, and then once more: the number is never used again.
  sluice_call kept = 0;
  raw.hook = [&](sluice_call call) { return kept = call, SLUICE_PENDING; };
  plugin.start(Hook::admission);
  raw.complete(kept, SLUICE_OK);
  raw.hook = [&](sluice_call call) {
    EXPECT_NE(call, kept);
    raw.complete(kept, SLUICE_REJECT);
    return SLUICE_OK;
  };
  plugin.start(Hook::admission);
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::reject, HookStatus::ok, HookStatus::ok));
  EXPECT_EQ(counts().doubled, 3U);
}

TEST_F(Instance, TakesAnswersGivenBeforeTheHookReturns) {
  raw.hook = [&](sluice_call call) {
    std::thread([&] { raw.complete(call, SLUICE_OK); }).join();
    EXPECT_EQ(plugin.sink.reply_count(), 1U);
    EXPECT_EQ(raw.get(call, "model"), "m") << "the hook has not returned";
    return SLUICE_PENDING;
  };
  plugin.start(Hook::admission, {{CallKey::model, "m"}});

  EXPECT_THAT(statuses(), ElementsAre(HookStatus::ok));
  EXPECT_EQ(counts(), (PluginCounts{.calls = 1}));
}

TEST_F(Instance, CountsAnswersToNumbersThatWereNeverGiven) {
  for (sluice_call call : {sluice_call{0}, sluice_call{1}, ~sluice_call{0}})
    raw.complete(call, SLUICE_OK);

  EXPECT_EQ(counts().doubled, 3U);
  EXPECT_EQ(raw.get(77, "model"), "(refused)");
  EXPECT_EQ(raw.set(77, "detail", "x"), SLUICE_ERROR);
  EXPECT_EQ(raw.emit(77, "x"), SLUICE_ERROR);
  EXPECT_NE(raw.api->call_cancelled(raw.host, 77), 0);
}

TEST_F(Instance, RepliesAtTheDeadlineAndDropsWhatComesLater) {
  sluice_call kept = 0;
  raw.hook = [&](sluice_call call) { return kept = call, SLUICE_PENDING; };
  TimePoint deadline = plugin.clock.now() + 5ms;
  plugin.start_until(deadline, Hook::admission, {{CallKey::model, "m"}});
  EXPECT_EQ(plugin.instance->next_due(), deadline);

  plugin.instance->advance(deadline - 1ns);
  EXPECT_EQ(plugin.sink.reply_count(), 0U);
  plugin.clock.advance(5ms);
  plugin.instance->advance(plugin.clock.now());
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::timed_out));
  EXPECT_THAT(plugin.sink.replies()[0].detail, HasSubstr("hook admission: timed_out"));
  EXPECT_THAT(raw.cancelled, ElementsAre(kept));
  EXPECT_EQ(plugin.instance->next_due(), std::nullopt);

  // The plugin has the call still: it may read, and what it writes goes nowhere.
  EXPECT_NE(raw.api->call_cancelled(raw.host, kept), 0);
  EXPECT_EQ(raw.get(kept, "model"), "m");
  EXPECT_EQ(raw.set(kept, "class", "low"), SLUICE_SKIP);
  raw.complete(kept, SLUICE_OK);
  EXPECT_EQ(counts().late, 1U);
  raw.complete(kept, SLUICE_OK);
  EXPECT_EQ(counts().doubled, 1U);
  EXPECT_EQ(plugin.sink.reply_count(), 1U);
}

TEST_F(Instance, DropsTheAnswerOfAHookThatTookTooLong) {
  raw.hook = [&](sluice_call call) {
    EXPECT_EQ(raw.api->call_cancelled(raw.host, call), 0);
    plugin.clock.advance(6ms);
    EXPECT_NE(raw.api->call_cancelled(raw.host, call), 0);
    return SLUICE_OK;
  };
  plugin.start_until(plugin.clock.now() + 5ms, Hook::admission);

  EXPECT_THAT(statuses(), ElementsAre(HookStatus::timed_out));
  EXPECT_EQ(counts().late, 1U);
}

TEST_F(Instance, CancelsPendingCallsOnce) {
  sluice_call kept = 0;
  raw.hook = [&](sluice_call call) { return kept = call, SLUICE_PENDING; };
  PluginCallId id = plugin.start(Hook::preprocess);
  plugin.instance->cancel(id);
  plugin.instance->cancel(id);
  plugin.instance->cancel(PluginCallId{99});

  EXPECT_THAT(statuses(), ElementsAre(HookStatus::cancelled));
  EXPECT_THAT(raw.cancelled, ElementsAre(kept));
  raw.complete(kept, SLUICE_OK);
  EXPECT_EQ(counts().late, 1U);
  EXPECT_EQ(plugin.sink.reply_count(), 1U);
}

TEST_F(Instance, LetsARunningHookSeeThatItWasCancelled) {
  raw.hook = [&](sluice_call call) {
    EXPECT_EQ(raw.api->call_cancelled(raw.host, call), 0);
    std::thread([&] { plugin.instance->flag_cancelled(PluginCallId{1}); }).join();
    EXPECT_NE(raw.api->call_cancelled(raw.host, call), 0);
    return SLUICE_PENDING;
  };
  PluginCallId id = plugin.start(Hook::admission);
  plugin.instance->cancel(id);

  EXPECT_THAT(statuses(), ElementsAre(HookStatus::cancelled));
}

TEST_F(Instance, RefusesFieldsThatTheHookMayNotWriteOrNotLikeThat) {
  raw.hook = [&](sluice_call call) {
    EXPECT_EQ(raw.set(call, "class", "low"), SLUICE_OK);
    for (auto [key, value] : std::vector<std::pair<const char*, const char*>>{
             {"prompt", "x"},                  // another hook's
             {"text", "x"},                    // another hook's
             {"tenant", "x"},                  // nobody's
             {"header.x", "x"},                // nobody's
             {"header.", "x"},                 // no key
             {"Class", "low"},                 // no key
             {"", ""},                         // no key
             {"class", "urgent"},              // no class
             {"cost", "-1"},                   // no number
             {"cost", "1.5"},                  // no number
             {"cost", ""},                     // no number
             {"cost", "9223372036854775808"},  // too large
             {"code", "Not a word"},           // no word
             {"detail", "\xff"},               // no UTF-8
         })
      EXPECT_EQ(raw.set(call, key, value), SLUICE_ERROR) << key << " " << value;
    return SLUICE_OK;
  };
  HookReply reply = plugin.ask(Hook::admission);

  EXPECT_EQ(reply.status, HookStatus::ok);
  EXPECT_EQ(reply.changes, (CallFields{{CallKey::priority_class, "low"}}));
  EXPECT_EQ(counts().refused_writes, 14U);
}

TEST_F(Instance, LetsEachHookWriteItsOwnFields) {
  struct Case {
    Hook hook;
    std::vector<std::pair<std::string, std::string>> fields;
  };
  for (const auto& [hook, fields] :
       {Case{Hook::admission, {{"class", "realtime"}, {"cost", "12"}}},
        Case{Hook::preprocess, {{"prompt", "p"}, {"messages_json", "[]"}, {"params_json", "{}"}}},
        Case{Hook::route, {{"model", "m"}, {"worker", "w"}}},
        Case{Hook::output, {{"text", ""}, {"stop", "true"}}},
        Case{Hook::postprocess, {{"text", "whole"}}}}) {
    auto write = [&, &fields = fields](sluice_call call) {
      for (const auto& [key, value] : fields)
        EXPECT_EQ(raw.set(call, key, value), SLUICE_OK) << key;
      return SLUICE_OK;
    };
    raw.hook = write;
    raw.output = [&](sluice_call call, const sluice_output&) { return write(call); };
    EXPECT_EQ(plugin.ask(hook).changes.all().size(), fields.size());
  }
  EXPECT_EQ(counts().refused_writes, 0U);
}

TEST_F(Instance, ChangesNothingWhereAHookFailedOrHadNothingToSay) {
  sluice_status status = SLUICE_OK;
  raw.hook = [&](sluice_call call) {
    raw.set(call, "class", "low");
    raw.set(call, "detail", "why");
    raw.set(call, "code", "c");
    return status;
  };
  HookReply ok = plugin.ask(Hook::admission);
  EXPECT_EQ(ok.changes, (CallFields{{CallKey::priority_class, "low"}}));
  EXPECT_EQ(ok.detail, "");

  for (sluice_status failed : {SLUICE_REJECT, SLUICE_ERROR}) {
    status = failed;
    HookReply reply = plugin.ask(Hook::admission);
    EXPECT_EQ(reply.changes, (CallFields{{CallKey::code, "c"}}));
    EXPECT_EQ(reply.detail, "why");
  }
  status = SLUICE_SKIP;
  EXPECT_EQ(plugin.ask(Hook::admission).changes, CallFields());
}

TEST_F(Instance, RefusesStatusesThatDoNotExist) {
  sluice_call kept = 0;
  raw.hook = [&](sluice_call) { return 17; };
  EXPECT_EQ(plugin.ask(Hook::admission).detail, "it answered with the status 17");

  raw.hook = [&](sluice_call call) { return kept = call, SLUICE_PENDING; };
  plugin.start(Hook::admission);
  raw.complete(kept, SLUICE_PENDING);
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::error, HookStatus::error));
}

TEST_F(Instance, CatchesWhatAHookThrows) {
  raw.hook = [](sluice_call) -> sluice_status { throw std::runtime_error("raw"); };
  HookReply thrown = plugin.ask(Hook::admission);
  EXPECT_EQ(thrown.status, HookStatus::error);
  EXPECT_EQ(thrown.detail, "it threw an exception: raw");

  raw.hook = [](sluice_call) -> sluice_status { throw 7; };
  EXPECT_EQ(plugin.ask(Hook::admission).detail, "it threw an exception");
}

TEST_F(Instance, ShowsEachHookItsPayload) {
  raw.output = [&](sluice_call call, const sluice_output& output) {
    EXPECT_EQ(output.stream, 7U);
    EXPECT_EQ(output.flags, SLUICE_OUTPUT_LAST | SLUICE_OUTPUT_ABORTED);
    EXPECT_EQ(std::string(output.delta.ptr, output.delta.len), "delta");
    EXPECT_EQ(raw.get(call, "text"), "delta");
    EXPECT_EQ(raw.get(call, "input"), "(refused)");
    return SLUICE_OK;
  };
  HookCall call;
  call.hook = Hook::output;
  call.payload = "delta";
  call.stream = 7;
  call.last = call.aborted = true;
  plugin.instance->start(std::move(call));

  raw.execute = [&](const sluice_call* calls, std::uint32_t) {
    EXPECT_EQ(raw.get(calls[0], "input"), std::string("\0\xff", 2));
    EXPECT_EQ(raw.get(calls[0], "text"), "(refused)");
    EXPECT_EQ(raw.get(calls[0], "prompt"), "(absent)");
    return SLUICE_OK;
  };
  plugin.start(Hook::execute, {}, std::string("\0\xff", 2));
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::ok, HookStatus::ok));
}

TEST(InstancePermissions, AreNeededToReadAndToWrite) {
  constexpr std::string_view kManifest =
      R"({"name": "raw", "version": "1.0.0", "hooks": ["admission", "route"]})";
  PluginUnderTest plugin(
      PluginUnderTest::library_of(raw_table(kManifest, SLUICE_HOOK_ADMISSION | SLUICE_HOOK_ROUTE)));
  Raw& raw = *made;
  raw.hook = [&](sluice_call call) {
    EXPECT_EQ(raw.get(call, "model"), "m");
    EXPECT_EQ(raw.get(call, "user"), "(absent)");
    for (const char* key : {"prompt",
                            "messages_json",
                            "params_json",
                            "header.accept",
                            "text",
                            "input",
                            "cost",
                            "nonsense"})
      EXPECT_EQ(raw.get(call, key), "(refused)") << key;
    return SLUICE_OK;
  };
  CallFields fields{{CallKey::model, "m"}, {CallKey::prompt, "secret"}};
  fields.set_header("accept", "secret");
  EXPECT_EQ(plugin.ask(Hook::admission, fields).status, HookStatus::ok);
  EXPECT_EQ(plugin.instance->counts().refused_reads, 8U);

  EXPECT_EQ(plugin.ask(Hook::preprocess).status, HookStatus::skip) << "it has no such hook";
}

TEST_F(Instance, AnswersEachCallOfABatchOnce) {
  std::vector<sluice_call> kept;
  raw.execute = [&](const sluice_call* calls, std::uint32_t n) {
    EXPECT_EQ(n, 3U);
    kept.assign(calls, calls + n);
    EXPECT_EQ(raw.emit(calls[1], "item"), SLUICE_OK);
    raw.complete(calls[1], SLUICE_OK);
    return SLUICE_ERROR;
  };
  std::vector<HookCall> batch(3);
  for (std::size_t i = 0; i < 3; ++i) {
    batch[i].id = PluginCallId{i};
    batch[i].hook = Hook::execute;
  }
  plugin.instance->start_batch(std::move(batch));

  EXPECT_THAT(statuses(), ElementsAre(HookStatus::ok, HookStatus::error, HookStatus::error));
  EXPECT_EQ(counts().doubled, 0U);
  EXPECT_THAT(plugin.sink.items(), ElementsAre(std::pair(PluginCallId{1}, "item")));
}

TEST_F(Instance, HoldsItemsBackWithoutCredit) {
  sluice_call kept = 0;
  raw.execute = [&](const sluice_call* calls, std::uint32_t) {
    kept = calls[0];
    EXPECT_EQ(raw.emit(kept, "a"), SLUICE_OK);
    EXPECT_EQ(raw.emit(kept, "b"), SLUICE_SKIP);
    return SLUICE_PENDING;
  };
  PluginCallId id = plugin.start(Hook::execute);
  EXPECT_TRUE(raw.credited.empty());
  plugin.instance->credit(id, 2);
  EXPECT_THAT(raw.credited, ElementsAre(kept));
  EXPECT_EQ(raw.emit(kept, "b"), SLUICE_OK);
  plugin.instance->credit(id, 1);
  EXPECT_EQ(raw.credited.size(), 1U) << "nothing was turned away since";

  EXPECT_EQ(raw.emit(kept, std::string(20u << 20, 'x')), SLUICE_ERROR);
  plugin.instance->cancel(id);
  EXPECT_EQ(raw.emit(kept, "c"), SLUICE_OK) << "taken and dropped";
  raw.complete(kept, SLUICE_OK);
  EXPECT_EQ(raw.emit(kept, "d"), SLUICE_ERROR);
  EXPECT_EQ(plugin.sink.items().size(), 2U);
  EXPECT_EQ(counts().refused_items, 2U);
}

TEST_F(Instance, TellsOfCreditThatCameWhileTheHookRan) {
  sluice_call kept = 0;
  raw.execute = [&](const sluice_call* calls, std::uint32_t) {
    kept = calls[0];
    EXPECT_EQ(raw.emit(kept, "a"), SLUICE_OK);
    EXPECT_EQ(raw.emit(kept, "b"), SLUICE_SKIP);
    std::thread([&] { plugin.instance->credit(PluginCallId{1}, 1); }).join();
    EXPECT_TRUE(raw.credited.empty());
    return SLUICE_PENDING;
  };
  plugin.start(Hook::execute);

  EXPECT_THAT(raw.credited, ElementsAre(kept));
}

class FullInstance : public Instance {
 protected:
  FullInstance() : Instance({.calls_max = 2}) {}
};

TEST_F(FullInstance, RefusesCallsWhileTooManyAreUnanswered) {
  std::vector<sluice_call> kept;
  raw.hook = [&](sluice_call call) { return kept.push_back(call), SLUICE_PENDING; };
  plugin.start(Hook::admission);
  PluginCallId second = plugin.start(Hook::admission);
  // Nobody waits for it, but the plugin has it still.
  plugin.instance->cancel(second);
  HookReply full = plugin.ask(Hook::admission);
  EXPECT_EQ(full.status, HookStatus::error);
  EXPECT_EQ(full.detail, "plugin raw has 2 unanswered calls, the limit is 2");
  EXPECT_EQ(counts().overflows, 1U);

  raw.complete(kept[1], SLUICE_OK);
  raw.hook = [](sluice_call) { return SLUICE_OK; };
  EXPECT_EQ(plugin.ask(Hook::admission).status, HookStatus::ok);
}

TEST_F(Instance, KeepsItsMetricsByTheirRules) {
  const sluice_host_api& api = *raw.api;
  api.metric_add(raw.host, 0, 2);
  api.metric_add(raw.host, 0, 0.5);
  api.metric_set(raw.host, 1, 7);
  api.metric_add(raw.host, 1, -3);
  for (double value : {0.5, 1.0, 1.5, 9.0})
    api.metric_observe(raw.host, 2, value);
  api.metric_add(raw.host, 0, -1);     // a counter does not fall
  api.metric_set(raw.host, 0, 1);      // nor is it set
  api.metric_add(raw.host, 2, 1);      // a histogram observes
  api.metric_observe(raw.host, 1, 1);  // a gauge does not
  api.metric_add(raw.host, 3, 1);      // there is none
  api.metric_set(raw.host, 1, NAN);

  auto metrics = plugin.instance->metrics();
  EXPECT_EQ(metrics[0].value, 2.5);
  EXPECT_EQ(metrics[1].value, 4);
  EXPECT_EQ(metrics[2].value, 12);
  EXPECT_EQ(metrics[2].count, 4U);
  EXPECT_THAT(metrics[2].buckets, ElementsAre(2U, 1U));
  EXPECT_EQ(counts().refused_metrics, 6U);
}

TEST_F(Instance, RunsTimersOnceOrAgainUntilTheyAreStopped) {
  static int once;
  static int often;
  once = often = 0;
  const sluice_host_api& api = *raw.api;
  api.timer_start(
      raw.host, 10, 0, [](void*) { ++once; }, nullptr);
  std::uint64_t timer = api.timer_start(
      raw.host, 5, 20, [](void*) { ++often; }, nullptr);
  auto pass = [&](Duration time) {
    plugin.clock.advance(time);
    plugin.instance->advance(plugin.clock.now());
  };
  pass(5ms);
  EXPECT_EQ(std::pair(once, often), std::pair(0, 1));
  pass(5ms);
  EXPECT_EQ(std::pair(once, often), std::pair(1, 1));
  // What was missed is not made up for.
  pass(100ms);
  EXPECT_EQ(std::pair(once, often), std::pair(1, 2));
  api.timer_stop(raw.host, timer);
  pass(100ms);
  EXPECT_EQ(std::pair(once, often), std::pair(1, 2));
  EXPECT_EQ(plugin.instance->next_due(), std::nullopt);

  for (int i = 0; i < 64; ++i)
    EXPECT_NE(api.timer_start(
                  raw.host, 1, 1, [](void*) {}, nullptr),
              0U);
  EXPECT_EQ(api.timer_start(
                raw.host, 1, 1, [](void*) {}, nullptr),
            0U);
}

TEST_F(Instance, TellsTheTimeOfItsClock) {
  EXPECT_EQ(raw.api->now_monotonic_ns(raw.host), plugin.clock.now().time_since_epoch().count());
  EXPECT_EQ(raw.api->now_unix_ms(raw.host), 1576800000000 + 3600000);
}

TEST_F(Instance, RepairsAndCutsLines) {
  std::string line = "\xff" + std::string(5000, 'x');
  raw.api->log(raw.host, 99, {line.data(), line.size()});

  ASSERT_EQ(plugin.sink.logged().size(), 1U);
  EXPECT_EQ(plugin.sink.logged()[0].substr(0, 6), "3 \xEF\xBF\xBDx");
  EXPECT_LT(plugin.sink.logged()[0].size(), 4110U);
}

TEST_F(Instance, RepliesToWhatIsPendingWhenItEndsAndHearsNothingLater) {
  sluice_call kept = 0;
  raw.hook = [&](sluice_call call) { return kept = call, SLUICE_PENDING; };
  plugin.start(Hook::admission);
  const sluice_host_api* api = raw.api;
  sluice_host* host = raw.host;
  plugin.instance.reset();
  EXPECT_THAT(statuses(), ElementsAre(HookStatus::cancelled));

  // A thread that was forgotten.
  sluice_str value{};
  api->call_complete(host, kept, SLUICE_OK);
  api->log(host, 1, {"x", 1});
  EXPECT_EQ(api->call_get(host, kept, {"model", 5}, &value), SLUICE_ERROR);
  EXPECT_EQ(api->call_set(host, kept, {"class", 5}, {"low", 3}), SLUICE_ERROR);
  EXPECT_EQ(api->emit(host, kept, {"x", 1}), SLUICE_ERROR);
  EXPECT_EQ(api->timer_start(
                host, 1, 1, [](void*) {}, nullptr),
            0U);
  EXPECT_EQ(api->now_unix_ms(host), 0);
  EXPECT_EQ(plugin.sink.reply_count(), 1U);
  EXPECT_TRUE(plugin.sink.logged().empty());
}

// Four threads answer what one starts, cancels and lets time out: each call has one reply, and none
// of its items follows it.
TEST_F(Instance, RepliesOnceUnderAnyInterleaving) {
  constexpr std::uint64_t kCalls = 20000;
  std::mutex mutex;
  std::vector<sluice_call> kept;
  std::atomic<bool> done = false;
  raw.execute = [&](const sluice_call* calls, std::uint32_t n) {
    std::lock_guard lock(mutex);
    kept.insert(kept.end(), calls, calls + n);
    return SLUICE_PENDING;
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      while (true) {
        bool last = done;
        sluice_call call = 0;
        {
          std::lock_guard lock(mutex);
          if (!kept.empty()) {
            call = kept.back();
            kept.pop_back();
          }
        }
        if (call == 0 && last) return;
        if (call == 0) {
          std::this_thread::yield();
          continue;
        }
        raw.emit(call, "item");
        raw.complete(call, SLUICE_OK);
      }
    });
  TimePoint soon = plugin.clock.now() + 1ms;
  for (std::uint64_t i = 1; i <= kCalls; ++i) {
    HookCall call;
    call.id = PluginCallId{i};
    call.hook = Hook::execute;
    // The clock stands, so that only `advance` makes time pass.
    if (i % 3 == 0) call.deadline = soon;
    plugin.instance->start(std::move(call));
    if (i % 3 == 1) plugin.instance->cancel(PluginCallId{i - i % 5});
    if (i % 64 == 0) plugin.instance->advance(soon);
  }
  done = true;
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_EQ(plugin.sink.reply_count(), kCalls);
  EXPECT_EQ(counts().doubled, 0U);
}

TEST(AdmissionTokens, RefusesWhatAsksForTooMuch) {
  auto library =
      PluginLibrary::open({"", std::string(SLUICE_PLUGIN_DIR) + "/admission_tokens.so", ""});
  ASSERT_TRUE(library) << library.error().message;
  PluginUnderTest plugin(*library, R"({"tokens_max": 100})");

  EXPECT_EQ(plugin.ask(Hook::admission, {{CallKey::tokens_est, "100"}}).status, HookStatus::ok);
  HookReply refused = plugin.ask(Hook::admission, {{CallKey::tokens_est, "101"}});
  EXPECT_EQ(refused.status, HookStatus::reject);
  EXPECT_EQ(refused.detail, "the request asks for 101 tokens, the limit is 100");
  EXPECT_EQ(refused.changes, (CallFields{{CallKey::code, "tokens_over_limit"}}));
  EXPECT_EQ(plugin.ask(Hook::admission).status, HookStatus::skip);

  RecordingSink sink;
  testing::ManualClock clock;
  auto wrong = PluginInstance::create(*library, "limit", R"({"tokens_max": -5})", sink, clock);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "plugin limit: tokens_max: wanted at least 1 and at most 1000000000, found -5");
}

}  // namespace
}  // namespace sluice
