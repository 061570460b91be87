#include "actors/generation_plan.h"

#include "api/errors.h"
#include "api/prompt_tokens.h"
#include "base/hash.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

std::string prompt_name(const GenerationRequest& request, std::size_t i) {
  if (std::holds_alternative<std::shared_ptr<const Conversation>>(request.prompts[i]))
    return "messages";
  return request.prompts.size() == 1 ? "prompt" : "prompt[" + std::to_string(i) + "]";
}

}  // namespace

std::variant<GenerationPlan, ApiError> plan_generation(const GenerationRequest& request,
                                                       const ModelCard& model,
                                                       std::int32_t context,
                                                       std::uint32_t default_max_tokens,
                                                       Random& random,
                                                       const std::atomic<bool>* stopped) {
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id < 0 || id >= model.vocabulary) {
      return errors::invalid_value("logit_bias." + std::to_string(id),
                                   "Token id " + std::to_string(id) +
                                       " is outside the vocabulary [0, " +
                                       std::to_string(model.vocabulary) + ").");
    }
  }
  for (TokenId id : request.stop_token_ids) {
    if (id < 0 || id >= model.vocabulary) {
      return errors::invalid_value("stop_token_ids",
                                   "Token id " + std::to_string(id) +
                                       " is outside the vocabulary [0, " +
                                       std::to_string(model.vocabulary) + ").");
    }
  }
  std::vector<TokenId> stop_tokens = request.stop_token_ids;
  if (!request.ignore_eos) {
    // An end that the model has no row for is never drawn.
    const auto& eos = model.tokenizer->eos();
    std::copy_if(eos.begin(), eos.end(), std::back_inserter(stop_tokens), [&](TokenId id) {
      return id < model.vocabulary;
    });
  }
  std::sort(stop_tokens.begin(), stop_tokens.end());
  stop_tokens.erase(std::unique(stop_tokens.begin(), stop_tokens.end()), stop_tokens.end());

  std::uint64_t seed = request.seed ? static_cast<std::uint64_t>(*request.seed) : random.next();
  auto room = static_cast<std::uint64_t>(context);
  GenerationPlan result;
  for (std::size_t p = 0; p < request.prompts.size(); ++p) {
    TokenizeOptions options;
    options.name = prompt_name(request, p);
    options.context = context;
    options.max_tokens = request.max_tokens.value_or(0);
    options.truncate = request.truncate_prompt_tokens;
    options.echo = request.echo;
    options.stopped = stopped;
    auto tokenized = tokenize_prompt(request.prompts[p], model, options);
    if (auto* error = std::get_if<ApiError>(&tokenized)) return std::move(*error);
    auto& prompt = std::get<TokenizedPrompt>(tokenized);
    std::uint64_t prompt_tokens = prompt.tokens.size();
    std::uint64_t left = prompt_tokens < room ? room - prompt_tokens : 1;
    std::uint64_t preset = request.fills_context ? left : default_max_tokens;
    std::uint64_t wanted = request.max_tokens.value_or(preset);
    // Without a number from the client the default is cut to the room that is left.
    if (!request.max_tokens && prompt_tokens < room)
      wanted = std::min(wanted, room - prompt_tokens);
    if (!request.max_tokens && request.tokens_most) {
      std::uint64_t most = *request.tokens_most - std::min(*request.tokens_most, prompt_tokens);
      wanted = std::min(wanted, std::max<std::uint64_t>(1, most / request.n));
    }
    if (prompt_tokens + wanted > room || prompt_tokens >= room + (wanted == 0 ? 1 : 0)) {
      return errors::context_length_exceeded(room, prompt_tokens, wanted);
    }
    if (request.degradation.trims) {
      std::uint32_t most =
          DegradationEffects::trimmed(request.priority_class, static_cast<std::uint32_t>(wanted));
      result.trimmed |= most < wanted;
      wanted = most;
    }
    for (std::uint32_t choice = 0; choice < request.n; ++choice) {
      auto plan = std::make_shared<Plan>();
      plan->prompt = prompt.tokens;
      plan->max_tokens = static_cast<std::uint32_t>(wanted);
      plan->min_tokens = std::min(request.min_tokens, plan->max_tokens);
      plan->stop_tokens = stop_tokens;
      plan->sampling = request.sampling;
      // The first choice of the first prompt draws with the client's own seed; the others with
      // seeds of their own.
      std::uint64_t index = p * request.n + choice;
      plan->sampling.seed = index == 0 ? seed : mix64(seed ^ mix64(index));
      plan->logprobs = request.logprobs;
      plan->prompt_logprobs = request.echo && request.logprobs.has_value();
      result.plans.push_back(std::move(plan));
    }
    result.prompt_tokens += prompt_tokens;
    result.total_tokens_max += request.n * (prompt_tokens + wanted);
    if (request.echo)
      result.echo_texts.push_back(std::make_shared<const std::string>(std::move(prompt.text)));
  }
  if (request.degradation.localizes) use_local_attention(result);
  return result;
}

void use_local_attention(GenerationPlan& plan) {
  for (auto& one : plan.plans) {
    if (one->prompt.size() <= kLocalAttentionFrom) continue;
    auto local = std::make_shared<Plan>(*one);
    local->attention_window = kLocalAttentionWindow;
    one = std::move(local);
    plan.localized = true;
  }
}

std::size_t GenerationPlan::bytes() const {
  std::size_t bytes = 0;
  for (const auto& plan : plans)
    bytes += plan->prompt.size() * sizeof(TokenId);
  for (const auto& text : echo_texts)
    bytes += text->size();
  return bytes;
}

std::uint64_t plan_fingerprint(std::string_view model, const Plan& plan) {
  std::uint64_t print = hash_bytes(model);
  auto add = [&print](const auto& value) { print = hash_bytes(&value, sizeof value, print); };
  auto add_all = [&print](const std::vector<TokenId>& ids) {
    print = hash_bytes(ids.data(), ids.size() * sizeof(TokenId), print);
  };
  const SamplingParams& sampling = plan.sampling;
  add_all(plan.prompt);
  add_all(plan.stop_tokens);
  add(plan.max_tokens);
  add(plan.min_tokens);
  add(sampling.temperature);
  add(sampling.top_p);
  add(sampling.top_k);
  add(sampling.min_p);
  add(sampling.typical_p);
  add(sampling.repetition_penalty);
  add(sampling.presence_penalty);
  add(sampling.frequency_penalty);
  for (const auto& [token, bias] : sampling.logit_bias) {
    add(token);
    add(bias);
  }
  add(plan.logprobs.value_or(~0U));
  add(plan.prompt_logprobs);
  add(plan.attention_window);
  return print;
}

}  // namespace sluice
