#include "plugins/sdk/sluice/plugin.hpp"
#include "tests/plugins/plugin_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::shared_ptr<const PluginLibrary> library() {
  return PluginUnderTest::library_of(PluginTable<T>::get());
}

/// Does what the field "user" says.
struct Obedient : Plugin<Obedient> {
  static constexpr std::string_view manifest() {
    return R"({"name": "obedient", "version": "1.0.0", "permissions": ["prompt", "headers"],
        "hooks": ["admission", "preprocess", "route", "observe"],
        "config_schema": {"type": "object", "properties": {
          "bad": {"type": "boolean", "default": false}, "n": {"type": "integer", "default": 1}}},
        "metrics": [{"name": "asked_total", "type": "counter", "help": "Calls."}]})";
  }

  void start(const Json& config) {
    if (config["bad"].as_bool()) throw PluginError("the configuration is bad");
    n_ = config["n"].as_int();
    tick_ = every(10ms, [this] {
      if (++ticks_ == 2) throw std::runtime_error("tick");
    });
  }
  void reload(const Json& config) {
    if (config["bad"].as_bool()) throw PluginError("not that one");
    n_ = config["n"].as_int();
  }
  std::string health() { return n_ < 0 ? "n is negative" : ""; }
  void observe(std::string_view event) { host().info(event); }

  Answer on_admission(Call& call) {
    host().add(0);
    std::string_view wish = call.user();
    if (wish == "refuse") return refuse("too_much", "It is too much.", 1500ms);
    if (wish == "skip") return skip();
    if (wish == "fail") return fail("no idea");
    if (wish == "throw") throw std::runtime_error("thrown");
    if (wish == "throw int") throw 7;
    if (wish == "write prompt") call.set_prompt("x");
    if (wish == "pend without") return pend();
    if (wish == "drop") return call.pend(), pend();
    if (wish == "pend and accept") return pending_ = call.pend(), accept();
    if (wish == "pend and throw") {
      pending_ = call.pend();
      throw std::runtime_error("after pend");
    }
    if (wish == "pend twice") {
      Pending first = call.pend();
      Pending second = call.pend();
    }
    if (wish == "pend") return pending_ = call.pend(), pend();
    call.set_class("low");
    call.set_cost(n_);
    return accept();
  }
  Answer on_preprocess(Call& call) {
    call.set_prompt(std::string(*call.prompt()) + "!");
    call.set_params_json(Json::quote(*call.header("x-a")));
    return accept();
  }
  Answer on_route(Call& call) {
    call.set_model(call.deadline() == 70ms && call.tokens_est() == 5 && call.streams() ? "m2"
                                                                                       : "no");
    call.set_worker("w");
    return accept();
  }

  static std::optional<Pending> pending_;
  static int ticks_;
  std::int64_t n_ = 0;
  Timer tick_;
};
std::optional<Pending> Obedient::pending_;
int Obedient::ticks_ = 0;

class Sdk : public ::testing::Test {
 protected:
  HookReply admit(std::string_view wish) {
    return plugin.ask(Hook::admission, {{CallKey::user, wish}});
  }
  PluginUnderTest plugin{library<Obedient>()};
};

TEST_F(Sdk, FindsHooksByTheMethodsOfTheClass) {
  const sluice_plugin& table = *PluginTable<Obedient>::get();

  EXPECT_EQ(
      table.hooks,
      SLUICE_HOOK_ADMISSION | SLUICE_HOOK_PREPROCESS | SLUICE_HOOK_ROUTE | SLUICE_HOOK_OBSERVE);
  EXPECT_EQ(table.on_output, nullptr);
  EXPECT_EQ(table.execute, nullptr);
  EXPECT_EQ(table.on_cancel, nullptr);
  EXPECT_NE(table.health, nullptr);
}

TEST_F(Sdk, CarriesAnswersToTheHost) {
  HookReply accepted = admit("");
  EXPECT_EQ(accepted.status, HookStatus::ok);
  EXPECT_EQ(accepted.changes, (CallFields{{CallKey::priority_class, "low"}, {CallKey::cost, "1"}}));

  HookReply refused = admit("refuse");
  EXPECT_EQ(refused.status, HookStatus::reject);
  EXPECT_EQ(refused.detail, "It is too much.");
  EXPECT_EQ(refused.changes,
            (CallFields{{CallKey::code, "too_much"}, {CallKey::retry_after_ms, "1500"}}));

  EXPECT_EQ(admit("skip").status, HookStatus::skip);
  HookReply failed = admit("fail");
  EXPECT_EQ(failed.status, HookStatus::error);
  EXPECT_EQ(failed.detail, "no idea");
}

TEST_F(Sdk, ReadsAndWritesTypedFields) {
  CallFields fields{{CallKey::prompt, "hi"}};
  fields.set_header("x-a", "b\"");
  HookReply changed = plugin.ask(Hook::preprocess, fields);
  EXPECT_EQ(changed.changes,
            (CallFields{{CallKey::prompt, "hi!"}, {CallKey::params_json, R"("b\"")"}}));

  HookReply routed = plugin.ask(
      Hook::route,
      {{CallKey::deadline_ms, "70"}, {CallKey::tokens_est, "5"}, {CallKey::stream, "true"}});
  EXPECT_EQ(routed.changes, (CallFields{{CallKey::model, "m2"}, {CallKey::worker, "w"}}));
}

TEST_F(Sdk, TurnsExceptionsIntoErrors) {
  HookReply thrown = admit("throw");
  EXPECT_EQ(thrown.status, HookStatus::error);
  EXPECT_EQ(thrown.detail, "a hook threw: thrown");
  EXPECT_EQ(admit("throw int").detail, "a hook threw: something that is no std::exception");
  EXPECT_EQ(admit("write prompt").detail,
            "a hook threw: the field prompt cannot be written here, or not so");
  EXPECT_EQ(plugin.sink.logged().size(), 3U);
  EXPECT_EQ(plugin.instance->counts().refused_writes, 1U);
}

TEST_F(Sdk, AnswersPendingCallsExactlyOnce) {
  PluginCallId id = plugin.start(Hook::admission, {{CallKey::user, "pend"}});
  EXPECT_EQ(plugin.sink.reply_count(), 0U);

  // From another thread, and again, which does nothing.
  std::thread([] {
    Obedient::pending_->call().set_class("batch");
    Obedient::pending_->complete(accept());
    Obedient::pending_->complete(fail("again"));
  }).join();

  ASSERT_EQ(plugin.sink.reply_count(), 1U);
  EXPECT_EQ(plugin.sink.replies()[0].id, id);
  EXPECT_EQ(plugin.sink.replies()[0].changes, (CallFields{{CallKey::priority_class, "batch"}}));
  EXPECT_EQ(plugin.instance->counts().doubled, 0U);
}

TEST_F(Sdk, FailsCallsWhoseAnswerWasDropped) {
  HookReply dropped = admit("drop");

  EXPECT_EQ(dropped.status, HookStatus::error);
  EXPECT_EQ(dropped.detail, "the plugin dropped the call");
}

TEST_F(Sdk, LeavesTheAnswerToThePendingWhateverTheHookReturns) {
  for (const char* wish : {"pend and accept", "pend and throw"}) {
    std::size_t before = plugin.sink.reply_count();
    plugin.start(Hook::admission, {{CallKey::user, wish}});
    EXPECT_EQ(plugin.sink.reply_count(), before) << wish;
    Obedient::pending_->complete(refuse("no", "No."));
    EXPECT_EQ(plugin.sink.replies().back().status, HookStatus::reject) << wish;
  }
  EXPECT_EQ(admit("pend without").detail, "a hook pends without a Pending");
  EXPECT_EQ(admit("pend twice").detail, "the plugin dropped the call");
  EXPECT_EQ(plugin.instance->counts().doubled, 0U);
}

TEST_F(Sdk, RunsTimersAndOutlivesTheirExceptions) {
  Obedient::ticks_ = 0;
  for (int i = 1; i <= 3; ++i) {
    auto due = plugin.instance->next_due();
    ASSERT_TRUE(due);
    EXPECT_EQ(*due - plugin.clock.now(), 10ms);
    plugin.clock.advance(10ms);
    plugin.instance->advance(plugin.clock.now());
    EXPECT_EQ(Obedient::ticks_, i);
  }
  EXPECT_THAT(plugin.sink.logged(), ElementsAre("3 a timer threw: tick"));
}

TEST_F(Sdk, TellsHealthEventsMetricsAndReloads) {
  EXPECT_EQ(plugin.ask(Hook::health).status, HookStatus::ok);
  EXPECT_EQ(plugin.ask(Hook::observe, {}, R"({"a":1})").status, HookStatus::ok);
  EXPECT_THAT(plugin.sink.logged(), ElementsAre(R"(1 {"a":1})"));

  EXPECT_EQ(plugin.ask(Hook::reload, {}, R"({"n": -7})").status, HookStatus::ok);
  EXPECT_EQ(plugin.ask(Hook::health).detail, "n is negative");
  HookReply refused = plugin.ask(Hook::reload, {}, R"({"bad": true})");
  EXPECT_EQ(refused.status, HookStatus::error);
  EXPECT_EQ(refused.detail, "not that one");
  EXPECT_EQ(plugin.ask(Hook::reload, {}, R"({"n": "x"})").detail,
            "plugin p: n: wanted an integer, found \"x\"");
  EXPECT_EQ(plugin.ask(Hook::health).detail, "n is negative") << "the old one is in force";

  admit("");
  EXPECT_EQ(plugin.instance->metrics()[0].value, 1);
}

TEST_F(Sdk, PassesOnWhyAConfigurationIsRefused) {
  RecordingSink sink;
  testing::ManualClock clock;
  auto refused =
      PluginInstance::create(library<Obedient>(), "strict", R"({"bad": true})", sink, clock);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "plugin strict does not start: the configuration is bad");
}

/// A generative backend: counts to what its input says, and stops where it has no credit.
struct Counter : Plugin<Counter> {
  static constexpr std::string_view manifest() {
    return R"({"name": "counter", "version": "1.0.0", "hooks": ["execute"],
               "permissions": ["prompt"]})";
  }
  struct Job {
    Pending call;
    int next = 0;
    int end = 0;
  };
  void execute(std::vector<Pending> batch) {
    for (Pending& call : batch) {
      int end = std::stoi(std::string(call.call().input()));
      jobs_.push_back({std::move(call), 0, end});
      go_on(jobs_.back());
    }
  }
  void on_credit(sluice_call number) {
    for (Job& job : jobs_)
      if (!job.call.answered() && job.call.number() == number) go_on(job);
  }
  void on_cancel(sluice_call number) {
    for (Job& job : jobs_)
      if (!job.call.answered() && job.call.number() == number) job.call.complete(skip());
  }
  static void go_on(Job& job) {
    while (job.next < job.end && job.call.emit(std::to_string(job.next)))
      ++job.next;
    if (job.next == job.end) job.call.complete(accept());
  }
  std::vector<Job> jobs_;
};

TEST(SdkBackend, StreamsItemsWithinItsCredit) {
  PluginUnderTest plugin(library<Counter>());
  std::vector<HookCall> batch(2);
  batch[0].id = PluginCallId{1};
  batch[0].payload = "3";
  batch[0].credit = 2;
  batch[1].id = PluginCallId{2};
  batch[1].payload = "1";
  for (HookCall& call : batch)
    call.hook = Hook::execute;

  plugin.instance->start_batch(std::move(batch));
  ASSERT_EQ(plugin.sink.reply_count(), 1U) << "the second call needs one item only";
  EXPECT_EQ(plugin.sink.replies()[0].id, PluginCallId{2});
  EXPECT_EQ(plugin.sink.items().size(), 3U);

  plugin.instance->credit(PluginCallId{1}, 1);
  ASSERT_EQ(plugin.sink.reply_count(), 2U);
  EXPECT_EQ(plugin.sink.replies()[1].status, HookStatus::ok);
  EXPECT_EQ(plugin.sink.items().back(), std::pair(PluginCallId{1}, std::string("2")));
}

TEST(SdkBackend, StopsWhatIsCancelledAndFailsWhatItDrops) {
  PluginUnderTest plugin(library<Counter>());
  PluginCallId id = plugin.start(Hook::execute, {}, "9");
  plugin.instance->cancel(id);

  ASSERT_EQ(plugin.sink.reply_count(), 1U);
  EXPECT_EQ(plugin.sink.replies()[0].status, HookStatus::cancelled);
  EXPECT_EQ(plugin.instance->counts().late, 1U);

  // std::stoi throws, and the call goes down with the batch.
  HookReply dropped = plugin.ask(Hook::execute, {}, "x");
  EXPECT_EQ(dropped.status, HookStatus::error);
  EXPECT_EQ(dropped.detail, "the plugin dropped the call");
  EXPECT_THAT(plugin.sink.logged(), ElementsAre(HasSubstr("execute threw")));
}

}  // namespace
}  // namespace sluice
