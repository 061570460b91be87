// When prompts get their first token: short ones behind a crowd of long ones.
//
//   prefill_bench [--model FOLDER|hash] [--threads N] [--rounds N] [--long N] [--long-prompt
//   TOKENS]
//                 [--short-prompt TOKENS] [--every-ms MS] [--attention-window TOKENS]
//
// All long prompts come at once. From then on until the last of them has its token a short one
// comes every so many milliseconds, whether those before it are answered or not (open loop). Times
// run from when a prompt was due. Lines: name value unit ceiling ratio. The ceiling of a short
// prompt is two of the longest steps: it may come when one has just begun, and has its token after
// the next. That of the last long one is the time all rows take at the rate of the round.
#include "base/philox.h"
#include "bench/bandwidth.h"
#include "engine/engine.h"
#include "models/registry.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::bench {
namespace {

struct Options {
  ModelSource model{.path = "models/shipped/brook"};
  int rounds = 3;
  std::int32_t longs = 40;
  std::int32_t long_prompt = 1000;
  std::int32_t short_prompt = 3;
  double every = 0.1;                 // seconds
  std::int32_t attention_window = 0;  // of the long ones; 0: none
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "prefill_bench: %s\n", message.c_str());
  std::exit(1);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    std::string name = argv[i];
    if (i + 1 == argc) fail(name + " needs a value");
    const char* value = argv[i + 1];
    if (name == "--model") {
      options.model.path = value;
    } else if (name == "--threads") {
      options.model.threads = static_cast<std::uint32_t>(std::atoi(value));
    } else if (name == "--rounds") {
      options.rounds = std::atoi(value);
    } else if (name == "--long") {
      options.longs = std::atoi(value);
    } else if (name == "--long-prompt") {
      options.long_prompt = std::atoi(value);
    } else if (name == "--short-prompt") {
      options.short_prompt = std::atoi(value);
    } else if (name == "--every-ms") {
      options.every = std::atof(value) * 1e-3;
    } else if (name == "--attention-window") {
      options.attention_window = std::atoi(value);
    } else {
      fail("unknown option " + name);
    }
  }
  if (options.model.threads < 1 || options.rounds < 1 || options.longs < 1 ||
      options.long_prompt < 1 || options.short_prompt < 1 || options.every <= 0.0 ||
      options.attention_window < 0)
    fail("all numbers must be above 0, the window may be 0");
  return options;
}

class PrefillBench {
 public:
  explicit PrefillBench(const Options& options) : options_(options) {
    auto model = load_model(options.model);
    if (!model) fail(model.error().message);
    std::int32_t sequences = options.longs + kShortsHeld;
    std::int32_t blocks = options.longs * (options.long_prompt / 16 + 2) +
                          kShortsHeld * (options.short_prompt / 16 + 2);
    auto engine = Engine::create(
        std::move(*model),
        {.sequences_max = sequences, .step_rows_max = std::max(256, sequences), .blocks = blocks},
        clock_);
    if (!engine) fail(engine.error().message);
    engine_ = std::move(*engine);
  }

  void run() {
    measure(false);  // touches every weight and buffer once
    alone_.clear();
    longest_step_ = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      measure(true);
      measure(false);
    }
    std::printf("# %s, %u threads; %d prompts of %d tokens, one of %d every %.0f ms\n",
                engine_->model().architecture.c_str(),
                options_.model.threads,
                options_.longs,
                options_.long_prompt,
                options_.short_prompt,
                options_.every * 1e3);
    double steps = 2 * longest_step_;
    double all = median(alone_);
    print("short, median", median(shorts_), steps);
    print("short, slowest", *std::max_element(shorts_.begin(), shorts_.end()), steps);
    print("long, median", median(longs_), all);
    print("long, slowest", *std::max_element(longs_.begin(), longs_.end()), all);
  }

 private:
  static constexpr std::int32_t kShortsHeld = 256;  // more would wait for places

  static void print(const char* name, double seconds, double ceiling) {
    std::printf("%-15s %9.1f ms   ceiling %9.1f ms  ratio %.2f\n",
                name,
                seconds * 1e3,
                ceiling * 1e3,
                seconds / ceiling);
  }

  std::uint64_t add(std::int32_t tokens, std::int32_t window = 0) {
    StartSequence sequence;
    sequence.id = SequenceId{++ids_};
    auto vocabulary = static_cast<std::uint32_t>(engine_->model().vocabulary);
    for (std::int32_t p = 0; p < tokens; ++p)
      sequence.plan.prompt.push_back(
          static_cast<TokenId>(philox(ids_, static_cast<std::uint64_t>(p))[0] % vocabulary));
    sequence.plan.max_tokens = 1;
    sequence.plan.attention_window = window;
    if (auto added = engine_->add(std::move(sequence)); !added) fail(added.error().message);
    return ids_;
  }

  /// One round, with short prompts or without: until everything has its token.
  void measure(bool with_short) {
    std::map<std::uint64_t, double> due;  // of the short ones
    double begin = now_seconds();
    std::uint64_t first_long = ids_ + 1;
    for (std::int32_t i = 0; i < options_.longs; ++i)
      add(options_.long_prompt, options_.attention_window);
    std::uint64_t last_long = ids_;
    std::int32_t longs_left = options_.longs;
    double next = begin;
    double now = now_seconds();
    while (longs_left > 0 || !due.empty()) {
      for (; with_short && longs_left > 0 && next <= now; next += options_.every)
        due[add(options_.short_prompt)] = next;
      double step_begin = now;
      if (auto stepped = engine_->step(result_); !stepped) fail(stepped.error().message);
      if (!result_.failures.empty()) fail(result_.failures[0].error.message);
      now = now_seconds();
      longest_step_ = std::max(longest_step_, now - step_begin);
      for (const SequenceOutput& output : result_.outputs) {
        std::uint64_t id = output.id.value;
        if (id >= first_long && id <= last_long) {
          if (with_short) longs_.push_back(now - begin);
          --longs_left;
        } else {
          shorts_.push_back(now - due.at(id));
          due.erase(id);
        }
      }
    }
    if (!with_short) alone_.push_back(now - begin);
  }

  Options options_;
  SystemClock clock_;
  std::unique_ptr<Engine> engine_;
  StepResult result_;
  std::vector<double> shorts_;  // seconds until the first token
  std::vector<double> longs_;
  std::vector<double> alone_;
  double longest_step_ = 0;
  std::uint64_t ids_ = 0;
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::PrefillBench(sluice::bench::parse(argc, argv)).run();
}
