// The smallest use of the engine: load a model, run one prompt, print its tokens as they come. No
// server, no actors.
//
//   generate [MODEL-FOLDER] [PROMPT]
#include "base/clock.h"
#include "engine/engine.h"
#include "models/registry.h"

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  std::string path = argc > 1 ? argv[1] : "models/shipped/brook";
  std::string prompt = argc > 2 ? argv[2] : "In the beginning";
  auto card = sluice::load_model_card(path);
  auto model = sluice::load_model({.path = path});
  if (!card || !model) {
    std::fprintf(stderr, "%s\n", (card ? model.error() : card.error()).message.c_str());
    return 1;
  }
  sluice::SystemClock clock;
  auto engine =
      sluice::Engine::create(std::move(*model), {.sequences_max = 1, .blocks = 64}, clock);
  auto tokens = card->tokenizer->encode(prompt, true, false);
  if (!engine || !tokens) return 1;

  sluice::StartSequence start;
  start.plan.prompt = std::move(*tokens);
  start.plan.max_tokens = 48;
  start.plan.stop_tokens = card->tokenizer->eos();
  start.plan.sampling.temperature = 0.7F;
  start.plan.sampling.seed = 1;
  if (auto added = (*engine)->add(std::move(start)); !added) {
    std::fprintf(stderr, "%s\n", added.error().message.c_str());
    return 1;
  }
  std::printf("%s", prompt.c_str());
  sluice::Detokenizer text(card->tokenizer, true, /*continues=*/true);
  sluice::StepResult result;
  while (!(*engine)->idle()) {
    result.clear();
    if (!(*engine)->step(result) || !result.failures.empty()) return 1;
    for (const auto& output : result.outputs) {
      for (sluice::TokenId id : output.tokens)
        std::printf("%s", text.push(id).c_str());
    }
  }
  std::printf("%s\n", text.finish().c_str());
  return 0;
}
