// How fast the engine turns prompts into tokens, without network and front.
//
//   engine_bench [--model FOLDER|hash] [--threads N] [--batches 1,4,16,64] [--rounds N]
//                [--prompt TOKENS] [--tokens TOKENS] [--temperature T] [--level NAME]
//                [--choices N] [--choices-prompt TOKENS]
//
// Lines: name value unit ceiling ratio; medians over rounds that alternate between batch sizes.
// The ceiling of a decode at batch 1 is the read bandwidth with the same threads, measured right
// before and after it: a token can be no faster than the weights can be read. If the two differ by
// more than 15 % in some round, the line is marked noisy. Larger batches reuse the weights; what is
// printed for them beside tokens is how much more they give than batch 1. The last line is the time
// until each of N choices of one long prompt has its first token, beside that of N prompts; with
// --choices 0 it is left out.
#include "base/philox.h"
#include "bench/bandwidth.h"
#include "engine/engine.h"
#include "models/registry.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace sluice::bench {
namespace {

struct Options {
  ModelSource model{.path = "hash"};
  std::vector<std::int32_t> batches = {1, 4, 16, 64};
  int rounds = 3;
  std::int32_t prompt = 64;
  std::int32_t tokens = 64;
  float temperature = 1.0F;
  std::int32_t choices = 8;
  std::int32_t choices_prompt = 1000;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "engine_bench: %s\n", message.c_str());
  std::exit(1);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    std::string name = argv[i];
    if (i + 1 == argc) fail(name + " needs a value");
    std::string value = argv[i + 1];
    if (name == "--model") {
      options.model.path = value;
    } else if (name == "--threads") {
      options.model.threads = static_cast<std::uint32_t>(std::atoi(value.c_str()));
    } else if (name == "--level") {
      options.model.level = value;
    } else if (name == "--rounds") {
      options.rounds = std::atoi(value.c_str());
    } else if (name == "--prompt") {
      options.prompt = std::atoi(value.c_str());
    } else if (name == "--tokens") {
      options.tokens = std::atoi(value.c_str());
    } else if (name == "--choices") {
      options.choices = std::atoi(value.c_str());
    } else if (name == "--choices-prompt") {
      options.choices_prompt = std::atoi(value.c_str());
    } else if (name == "--temperature") {
      options.temperature = std::strtof(value.c_str(), nullptr);
    } else if (name == "--batches") {
      options.batches.clear();
      std::stringstream list(value);
      for (std::string size; std::getline(list, size, ',');)
        options.batches.push_back(std::atoi(size.c_str()));
    } else {
      fail("unknown option " + name);
    }
  }
  if (options.batches.empty() ||
      *std::min_element(options.batches.begin(), options.batches.end()) < 1)
    fail("--batches needs numbers >= 1");
  if (options.rounds < 1 || options.prompt < 1 || options.tokens < 1 || options.model.threads < 1)
    fail("--rounds, --prompt, --tokens and --threads need numbers >= 1");
  if (options.choices < 0 || options.choices_prompt < 1)
    fail("--choices needs a number >= 0, --choices-prompt one >= 1");
  return options;
}

/// What one batch size gave, a value a round.
struct Series {
  std::vector<double> prefill;  // tokens a second
  std::vector<double> decode;   // tokens a second
  std::vector<double> read;     // bytes of weights a second while decoding
  std::vector<double> ceiling;  // bytes a second
  bool noisy = false;
};

class EngineBench {
 public:
  explicit EngineBench(const Options& options) : options_(options), pool_(options.model.threads) {
    auto model = load_model(options.model);
    if (!model) fail(model.error().message);
    std::int32_t largest = *std::max_element(options.batches.begin(), options.batches.end());
    std::int32_t blocks_each = (options.prompt + options.tokens) / 16 + 2;
    std::int32_t blocks_choice = options.choices_prompt / 16 + 2;
    std::int32_t sequences = std::max(largest, options.choices);
    auto engine =
        Engine::create(std::move(*model),
                       {.sequences_max = sequences,
                        .step_rows_max = std::max(256, sequences),
                        .prefill_chunk = 256,
                        .blocks = std::max(largest * blocks_each, options.choices * blocks_choice)},
                       clock_);
    if (!engine) fail(engine.error().message);
    engine_ = std::move(*engine);
    std::int32_t longest = options.choices > 0 ? options.choices_prompt + 1 : 0;
    if (std::max(longest, options.prompt + options.tokens) > engine_->model().context)
      fail("prompt and tokens exceed the model's context");
  }

  void run() {
    const ModelInfo& info = engine_->model();
    std::printf(
        "# %s, %.1f M parameters, %.1f MB of weights a step; %u threads; prompt %d, %d tokens\n",
        info.architecture.c_str(),
        static_cast<double>(info.parameters) * 1e-6,
        static_cast<double>(info.weight_bytes) * 1e-6,
        options_.model.threads,
        options_.prompt,
        options_.tokens);
    measure(options_.batches.front(), nullptr);  // touches every weight and buffer once
    std::map<std::int32_t, Series> all;
    for (int round = 0; round < options_.rounds; ++round) {
      for (std::int32_t batch : options_.batches)
        measure(batch, &all[batch]);
    }
    for (std::int32_t batch : options_.batches)
      print(batch, all[batch], all.at(options_.batches.front()));
    if (options_.choices > 0) measure_choices();
  }

 private:
  void start(std::int32_t batch) {
    for (std::int32_t i = 0; i < batch; ++i)
      add(prompt(ids_ + 1, options_.prompt), options_.tokens);
  }

  [[nodiscard]] std::vector<TokenId> prompt(std::uint64_t key, std::int32_t tokens) const {
    auto vocabulary = static_cast<std::uint32_t>(engine_->model().vocabulary);
    std::vector<TokenId> prompt;
    for (std::int32_t p = 0; p < tokens; ++p)
      prompt.push_back(
          static_cast<TokenId>(philox(key, static_cast<std::uint64_t>(p))[0] % vocabulary));
    return prompt;
  }

  void add(std::vector<TokenId> prompt, std::int32_t tokens) {
    StartSequence sequence;
    sequence.id = SequenceId{++ids_};
    sequence.plan.prompt = std::move(prompt);
    sequence.plan.max_tokens = static_cast<std::uint32_t>(tokens);
    sequence.plan.sampling.temperature = options_.temperature;
    sequence.plan.sampling.seed = ids_;
    if (auto added = engine_->add(std::move(sequence)); !added) fail(added.error().message);
  }

  /// Seconds until each choice has its first token, with so many different prompts among them.
  double first_tokens(std::int32_t prompts) {
    std::uint64_t key = ids_ + 1;
    for (std::int32_t i = 0; i < options_.choices; ++i)
      add(prompt(key + static_cast<std::uint64_t>(i % prompts), options_.choices_prompt), 1);
    double begin = now_seconds();
    while (!engine_->idle())
      step();
    return now_seconds() - begin;
  }

  void measure_choices() {
    std::vector<double> shared;
    std::vector<double> different;
    std::vector<double> ratios;
    for (int round = 0; round < options_.rounds; ++round) {
      shared.push_back(first_tokens(1));
      different.push_back(first_tokens(options_.choices));
      ratios.push_back(shared.back() / different.back());
    }
    std::printf(
        "first tokens of %d choices of %d tokens %.3f s  of as many prompts %.3f s  ratio %.2f\n",
        options_.choices,
        options_.choices_prompt,
        median(shared),
        median(different),
        median(ratios));
  }

  std::size_t step() {
    if (auto stepped = engine_->step(result_); !stepped) fail(stepped.error().message);
    if (!result_.failures.empty()) fail(result_.failures[0].error.message);
    return result_.outputs.size();
  }

  void measure(std::int32_t batch, Series* series) {
    double before = series == nullptr ? 0.0 : probe_.measure(pool_, 4);
    start(batch);
    // Prefill ends with the first step in which every sequence gets a token; what counts as decode
    // are the steps in which every one still does.
    const auto all = static_cast<std::size_t>(batch);
    double begin = now_seconds();
    std::int64_t prefill_rows = 0;
    std::size_t given = 0;
    while (given < all && !engine_->idle()) {
      given = step();
      prefill_rows += result_.rows;
    }
    double prefilled = now_seconds();
    double end = prefilled;
    std::int64_t steps = 0;
    while (!engine_->idle() && step() == all) {
      ++steps;
      end = now_seconds();
    }
    while (!engine_->idle())
      step();
    if (steps == 0) fail("--tokens is too small for all sequences to decode side by side");
    if (series == nullptr) return;
    double after = probe_.measure(pool_, 4);
    double ceiling = std::max(before, after);
    series->noisy = series->noisy || std::abs(before - after) > 0.15 * ceiling;
    series->ceiling.push_back(ceiling);
    series->prefill.push_back(static_cast<double>(prefill_rows) / (prefilled - begin));
    series->decode.push_back(static_cast<double>(batch * steps) / (end - prefilled));
    series->read.push_back(static_cast<double>(engine_->model().weight_bytes) *
                           static_cast<double>(steps) / (end - prefilled));
  }

  static void print(std::int32_t batch, const Series& series, const Series& first) {
    double decode = median(series.decode);
    std::printf("prefill batch %-3d %10.1f tokens/s\n", batch, median(series.prefill));
    std::printf("decode  batch %-3d %10.1f tokens/s  %.2f of the smallest batch's\n",
                batch,
                decode,
                decode / median(first.decode));
    if (batch == 1) {
      std::vector<double> ratios;
      for (std::size_t i = 0; i < series.read.size(); ++i)
        ratios.push_back(series.read[i] / series.ceiling[i]);
      std::printf("weights batch 1   %10.2f GB/s      ceiling %.2f GB/s  ratio %.2f%s\n",
                  median(series.read) * 1e-9,
                  median(series.ceiling) * 1e-9,
                  median(ratios),
                  series.noisy ? "  noisy" : "");
    }
    std::fflush(stdout);
  }

  Options options_;
  SystemClock clock_;
  ThreadPool pool_;
  BandwidthProbe probe_;
  std::unique_ptr<Engine> engine_;
  StepResult result_;
  std::uint64_t ids_ = 0;
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::EngineBench(sluice::bench::parse(argc, argv)).run();
}
