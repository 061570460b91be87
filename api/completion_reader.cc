#include "api/completion_reader.h"

#include "api/errors.h"

#include <tuple>

namespace sluice {

void CompletionReader::read_input() {
  auto prompt = field(BodyField::prompt);
  auto& prompts = request_.prompts;
  if (!reader_.ok()) return;
  if (!prompt || prompt->is(JsonKind::null)) {
    prompts.emplace_back(std::string());
  } else if (prompt->is(JsonKind::string)) {
    prompts.emplace_back(std::string(prompt->string()));
  } else if (!prompt->is(JsonKind::array)) {
    reader_.wrong("prompt",
                  "a string, an array of strings, an array of token ids or an array of arrays of "
                  "token ids",
                  *prompt);
  } else if (prompt->size() == 0) {
    reader_.refuse(errors::invalid_value("prompt", "prompt must not be an empty array"));
  } else {
    read_prompt_array(*prompt);
  }
}

void CompletionReader::read_prompt_array(Value array) {
  Value first = *array.begin();
  if (!first.is(JsonKind::string) && !first.is(JsonKind::array)) {
    if (!as_integer(first)) {
      reader_.wrong("prompt[0]", "a string, a token id or an array of token ids", first);
      return;
    }
    request_.prompts.emplace_back(reader_.token_ids("prompt", array));
    return;
  }
  if (array.size() > limits().max_prompts) {
    std::string range = "at most " + std::to_string(limits().max_prompts) + " entries";
    reader_.refuse(errors::invalid_value("prompt", count_message("prompt", range, array.size())));
    return;
  }
  request_.prompts.reserve(array.size());
  std::size_t index = 0;
  for (Value entry : array) {
    if (!reader_.ok()) return;
    if (entry.kind() != first.kind()) {
      std::string_view expected = first.is(JsonKind::string)
                                      ? "a string like the entries before it"
                                      : "an array of token ids like the entries before it";
      reader_.wrong(indexed("prompt", index), expected, entry);
    } else if (entry.is(JsonKind::string)) {
      request_.prompts.emplace_back(std::string(entry.string()));
    } else if (entry.size() == 0) {
      std::string name = indexed("prompt", index);
      reader_.refuse(errors::invalid_value(name, name + " must not be an empty array"));
    } else {
      request_.prompts.emplace_back(reader_.token_ids(indexed("prompt", index), entry));
    }
    ++index;
  }
}

void CompletionReader::read_max_tokens() {
  std::optional<std::uint32_t> alias;
  for (auto [name, value, out] :
       {std::tuple{"max_tokens", field(BodyField::max_tokens), &request_.max_tokens},
        std::tuple{"max_completion_tokens", field(BodyField::max_completion_tokens), &alias}}) {
    std::uint32_t tokens = 0;
    if (reader_.narrow(name, value, IntRange{0, kInt32Max}, tokens)) *out = tokens;
  }
  if (!alias || !reader_.ok()) return;
  if (request_.max_tokens && *request_.max_tokens != *alias) {
    reader_.refuse(errors::invalid_value(
        "max_completion_tokens",
        "max_completion_tokens (" + std::to_string(*alias) + ") and max_tokens (" +
            std::to_string(*request_.max_tokens) + ") are the same field and must be equal"));
  }
  request_.max_tokens = alias;
}

void CompletionReader::read_choices() {
  GenerationReader::read_choices();
  std::int64_t best_of = 1;
  if (!reader_.integer("best_of", field(BodyField::best_of), {}, best_of)) return;
  if (best_of <= 1 || best_of == request_.n) return;
  reader_.refuse(errors::unsupported_value("best_of",
                                           "best_of must be equal to n (" +
                                               std::to_string(request_.n) + ") or 1, got " +
                                               std::to_string(best_of)));
}

void CompletionReader::read_logprobs() {
  std::uint32_t logprobs = 0;
  IntRange range{0, limits().max_logprobs};
  if (reader_.narrow("logprobs", field(BodyField::logprobs), range, logprobs))
    request_.logprobs = logprobs;
  reader_.boolean("echo", field(BodyField::echo), request_.echo);
}

void CompletionReader::read_own() {
  std::string_view suffix;
  if (!reader_.string("suffix", field(BodyField::suffix), suffix) || suffix.empty()) return;
  reader_.refuse(errors::unsupported_parameter(
      "suffix", "suffix is not supported: no model of this server fills text in"));
}

}  // namespace sluice
