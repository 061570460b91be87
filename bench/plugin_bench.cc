// What a hook costs that does nothing, reads a field, or rewrites a prompt: the server's own part
// of it.
#include "plugins/instance.h"
#include "plugins/sdk/sluice/plugin.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>

namespace sluice {
namespace {

struct Empty : Plugin<Empty> {
  static constexpr std::string_view manifest() {
    return R"({"name": "empty", "version": "1.0.0", "permissions": ["prompt"],
               "hooks": ["admission", "preprocess", "route"]})";
  }
  Answer on_admission(Call&) { return accept(); }
  Answer on_route(Call& call) { return call.model().empty() ? skip() : accept(); }
  Answer on_preprocess(Call& call) {
    call.set_prompt(*call.prompt());
    return accept();
  }
};

class CountingSink : public PluginSink {
 public:
  void replied(HookReply reply) override {
    benchmark::DoNotOptimize(reply);
    ++replies;
  }
  void item(PluginCallId, std::string) override {}
  void log(int, std::string_view) override {}
  std::uint64_t replies = 0;
};

void ask(benchmark::State& state, Hook hook, const CallFields& fields, bool bounded) {
  auto library = PluginLibrary::of("empty", SLUICE_PLUGIN_ABI, PluginTable<Empty>::get());
  SystemClock clock;
  CountingSink sink;
  auto instance = PluginInstance::create(*library, "empty", "{}", sink, clock);
  std::uint64_t calls = 0;
  for (auto _ : state) {
    HookCall call;
    call.id = PluginCallId{++calls};
    call.hook = hook;
    call.fields = fields;
    if (bounded) call.deadline = clock.now() + std::chrono::milliseconds(5);
    (*instance)->start(std::move(call));
  }
  if (sink.replies != calls) state.SkipWithError("a call has no reply");
}

const CallFields kFields{{CallKey::model, "a-model-of-some-name"},
                         {CallKey::user, "somebody"},
                         {CallKey::tenant, "a-tenant"},
                         {CallKey::tokens_est, "1000"},
                         {CallKey::prompt, std::string(500, 'x')}};

void empty_hook(benchmark::State& state) {
  ask(state, Hook::admission, {}, false);
}
void empty_hook_with_fields_and_deadline(benchmark::State& state) {
  ask(state, Hook::admission, kFields, true);
}
void hook_that_reads(benchmark::State& state) {
  ask(state, Hook::route, kFields, true);
}
void hook_that_rewrites_a_prompt(benchmark::State& state) {
  ask(state, Hook::preprocess, kFields, true);
}
BENCHMARK(empty_hook);
BENCHMARK(empty_hook_with_fields_and_deadline);
BENCHMARK(hook_that_reads);
BENCHMARK(hook_that_rewrites_a_prompt);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
