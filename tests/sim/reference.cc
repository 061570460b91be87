#include "tests/sim/reference.h"

#include "actors/generation_plan.h"
#include "actors/model_weights.h"
#include "api/answer_format.h"
#include "api/choice.h"
#include "base/check.h"
#include "engine/engine.h"
#include "models/hash/hash_chain.h"
#include "tests/sim/chance.h"
#include "tests/sim/sim_device.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace sluice::sim {

boost::json::object as_text_choice(const boost::json::object& choice) {
  const auto* said = choice.if_contains("delta");
  if (said == nullptr) said = choice.if_contains("message");
  if (said == nullptr) return choice;
  boost::json::object plain;
  const auto* content = said->as_object().if_contains("content");
  plain["index"] = choice.at("index");
  plain["text"] = content == nullptr ? boost::json::value("") : *content;
  // Events without tokens have none.
  plain["logprobs"] = nullptr;
  if (const auto* logprobs = choice.at("logprobs").if_object()) {
    if (!logprobs->at("content").as_array().empty())
      plain["logprobs"] = boost::json::object{{"content", logprobs->at("content")}};
  }
  for (const char* key : {"finish_reason", "stop_reason"})
    plain[key] = choice.at(key);
  return plain;
}

class Undisturbed::Impl {
 public:
  std::shared_ptr<const Expected> run(const OpenAiRequest& request,
                                      const ModelCard& model,
                                      std::uint32_t dialect,
                                      std::uint64_t weights) {
    Engine& engine = engine_of(dialect, weights);
    Chance unused(0, "the request has a seed");
    auto planned = plan_generation(request, model, model.context, 16, unused);
    auto* plan = std::get_if<GenerationPlan>(&planned);
    CHECK(plan != nullptr);
    std::vector<ChoiceDelta> wholes;
    auto expected = std::make_shared<Expected>();
    for (std::size_t i = 0; i < plan->plans.size(); ++i) {
      Choice::Options options;
      options.index = static_cast<std::uint32_t>(i);
      options.echo = request.echo;
      if (request.echo) options.echo_text = plan->echo_texts[i / request.n];
      options.stop = request.stop;
      options.include_stop = request.include_stop;
      options.skip_special_tokens = request.skip_special_tokens;
      Choice choice(std::move(options), plan->plans[i], model.tokenizer);
      wholes.push_back(run(engine, choice, *plan->plans[i]));
      if (dialect == 0 && weights == 0) check_greedy(*plan->plans[i], choice.emitted());
      expected->tokens.push_back(choice.emitted());
      expected->texts.push_back(wholes.back().text);
      expected->completion_tokens += choice.emitted().size();
    }
    Usage usage{plan->prompt_tokens, expected->completion_tokens, 0};
    std::string body =
        AnswerFormat::make(request.form, AnswerFormat::Shape::whole, "hash", "fp_00000000")
            ->body(wholes, usage);
    const boost::json::value parsed = boost::json::parse(body);
    for (const auto& choice : parsed.at("choices").as_array())
      expected->choices.push_back(as_text_choice(choice.as_object()));
    return expected;
  }

 private:
  class NoTime final : public Clock {
   public:
    [[nodiscard]] TimePoint now() const override { return TimePoint(std::chrono::hours(1)); }
    [[nodiscard]] std::chrono::system_clock::time_point wall() const override { return {}; }
  };

  Engine& engine_of(std::uint32_t dialect, std::uint64_t weights) {
    std::unique_ptr<Engine>& known = engines_[{dialect, weights}];
    if (known) return *known;
    Engine::Options options;
    options.sequences_max = 16;
    options.step_rows_max = 256;
    options.blocks = 1024;
    auto engine = Engine::create(
        make_sim_device(nullptr, nullptr, nullptr, dialect, weights), options, clock_);
    CHECK(engine.has_value());
    known = *std::move(engine);
    return *known;
  }

  ChoiceDelta run(Engine& engine, Choice& choice, const Plan& plan) {
    ChoiceDelta whole;
    StartSequence start;
    start.id = SequenceId{++ids_};
    start.plan = plan;
    CHECK(engine.add(std::move(start)).has_value());
    ChoiceDelta delta;
    while (!choice.finished()) {
      result_.clear();
      CHECK(engine.step(result_).has_value() && result_.failures.empty());
      for (const SequenceOutput& output : result_.outputs) {
        bool has_delta = false;
        if (output.id.value != ids_ || choice.finished()) continue;
        CHECK(choice.accept(output, delta, has_delta) == Choice::Verdict::accepted);
        if (!has_delta) continue;
        whole.index = delta.index;
        whole.text += delta.text;
        std::move(delta.logprobs.begin(), delta.logprobs.end(), std::back_inserter(whole.logprobs));
        whole.finish_reason = std::move(delta.finish_reason);
        whole.stop_reason = std::move(delta.stop_reason);
      }
    }
    engine.cancel(SequenceId{ids_}, 0);
    return whole;
  }

  /// A second witness, for what the hash model alone decides.
  static void check_greedy(const Plan& plan, const std::vector<TokenId>& tokens) {
    const SamplingParams& sampling = plan.sampling;
    if (sampling.temperature != 0 || sampling.repetition_penalty != 1 ||
        sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
        !sampling.logit_bias.empty() || plan.min_tokens > 0)
      return;
    HashChain chain(plan.prompt);
    for (TokenId token : tokens)
      CHECK(chain.advance() == token);
  }

  NoTime clock_;
  /// By dialect and weights.
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::unique_ptr<Engine>> engines_;
  StepResult result_;
  std::uint64_t ids_ = 0;
};

Undisturbed::Undisturbed() : impl_(std::make_unique<Impl>()) {}
Undisturbed::~Undisturbed() = default;

std::shared_ptr<const Expected> Undisturbed::run(const OpenAiRequest& request,
                                                 const ModelCard& model,
                                                 std::uint32_t dialect,
                                                 std::uint64_t weights) {
  return impl_->run(request, model, dialect, weights);
}

const Expected& Expectations::of(std::uint64_t weights) {
  auto& known = known_[weights];
  if (!known) known = undisturbed_.run(request_, model_, dialect_, weights);
  return *known;
}

const Expected* Expectations::of_fingerprint(std::uint64_t fingerprint) {
  for (std::uint64_t weights = 0; weights < kWeights; ++weights)
    if (fingerprint_of(weights) == fingerprint) return &of(weights);
  return nullptr;
}

const Expected* Expectations::of_text(std::string_view fingerprint) {
  for (std::uint64_t weights = 0; weights < kWeights; ++weights)
    if (fingerprint_text(fingerprint_of(weights)) == fingerprint) return &of(weights);
  return nullptr;
}

void SimReference::add(RequestNumber request, std::shared_ptr<Expectations> expected) {
  requests_[request] = std::move(expected);
}

const std::vector<TokenId>* SimReference::tokens(SequenceId sequence, std::uint64_t weights) const {
  auto after = requests_.upper_bound(RequestNumber{sequence.value});
  if (after == requests_.begin()) return nullptr;
  const auto& [first, expectations] = *std::prev(after);
  const Expected* expected = expectations->of_fingerprint(weights);
  std::uint64_t index = sequence.value - first.value;
  return expected && index < expected->tokens.size() ? &expected->tokens[index] : nullptr;
}

const std::string* SimReference::text(RequestNumber request,
                                      std::uint32_t choice,
                                      std::uint64_t weights) const {
  auto found = requests_.find(request);
  if (found == requests_.end()) return nullptr;
  const Expected* expected = found->second->of_fingerprint(weights);
  return expected && choice < expected->texts.size() ? &expected->texts[choice] : nullptr;
}

std::size_t SimReference::sequences(RequestNumber request) const {
  auto found = requests_.find(request);
  return found == requests_.end() ? 0 : found->second->of(0).tokens.size();
}

}  // namespace sluice::sim
