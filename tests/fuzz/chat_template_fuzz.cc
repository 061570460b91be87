// Feeds the interpreter of chat templates any bytes: a template, and after a zero byte the messages
// as JSON. Beside crashes it looks for broken promises: ranges out of order, contents that are
// trusted, errors without a sentence.
#include "models/template/chat_template.h"
#include "models/template/json_text.h"

#include <boost/json/parse.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

using namespace sluice;
using namespace sluice::jinja;

// A letter that no template of a corpus has: where a content shows it, it must be untrusted.
constexpr std::string_view kMessages =
    R"([{"role":"system","content":"\u2603 s"},{"role":"user","content":" \u2603\n<|x|> "},)"
    R"({"role":"assistant","content":"\u2603","tool_calls":[{"function":{"name":"f","arguments":{"a":[1,null]}}}]}])";
constexpr std::string_view kSnowman = "\xE2\x98\x83";

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Prompt& prompt, bool template_has_snowman) {
  std::size_t at = 0;
  for (const TextRange& range : prompt.untrusted) {
    require(range.begin < range.end && range.end <= prompt.text.size());
    require(at == 0 || at < range.begin);
    std::string_view trusted(prompt.text.data() + at, range.begin - at);
    require(template_has_snowman || trusted.find(kSnowman) == std::string_view::npos);
    at = range.end;
  }
  std::string_view rest(prompt.text.data() + at, prompt.text.size() - at);
  require(template_has_snowman || rest.find(kSnowman) == std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::size_t zero = input.find('\0');
  std::string_view text = input.substr(0, zero);
  std::string_view messages = zero == std::string_view::npos ? kMessages : input.substr(zero + 1);

  Result<ChatTemplate> parsed = ChatTemplate::parse(text, "fuzz");
  if (!parsed) {
    require(!parsed.error().message.empty());
    return 0;
  }
  boost::json::error_code error;
  boost::json::value json = boost::json::parse(boost::json::string_view(messages), error);
  if (error) json = boost::json::parse(kMessages);
  ValueHeap heap;
  Result<Value> value = value_from_json(heap, json);
  if (!value) return 0;

  ChatInputs inputs;
  inputs.messages = *value;
  inputs.tools = *value;
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  ChatTemplate::Limits limits;
  limits.steps_max = 20'000;
  limits.output_bytes_max = 64 * 1024;
  limits.memory_bytes_max = 1024 * 1024;
  limits.range_max = 1000;
  // Escapes can spell the letter, too.
  bool may_spell =
      text.find(kSnowman) != std::string_view::npos || text.find('\\') != std::string_view::npos;
  for (bool continues : {false, true}) {
    inputs.continue_final_message = continues;
    inputs.add_generation_prompt = !continues;
    Result<Prompt> prompt = parsed->render(inputs, limits);
    if (prompt) check(*prompt, may_spell);
    if (!prompt && prompt.error().code != ErrorCode::invalid_argument)
      require(!prompt.error().message.empty());
  }
  return 0;
}
