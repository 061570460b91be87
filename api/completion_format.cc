#include "api/completion_format.h"

#include "api/json_writer.h"
#include "base/utf8.h"

#include <utility>
#include <vector>

namespace sluice {
namespace {

using Logprob = ChoiceDelta::Logprob;

/// The alternatives of one position and the token that stands there. Different tokens may show the
/// same text (parts of characters do); the most likely one keeps the key, because a key stands
/// once.
void append_top(std::string& out, const Logprob& logprob) {
  std::vector<std::string> shown;
  shown.reserve(logprob.top.size() + 1);
  auto append_entry = [&](const std::string& token, float value) {
    std::string text = repair_utf8(token);
    for (const std::string& before : shown)
      if (before == text) return;
    if (!shown.empty()) out += ',';
    append_json_string(out, text);
    out += ':';
    append_json_float(out, value);
    shown.push_back(std::move(text));
  };
  out += '{';
  for (const auto& [token, value] : logprob.top)
    append_entry(token, value);
  append_entry(logprob.token, *logprob.logprob);
  out += '}';
}

void append_logprobs(std::string& out, const std::vector<Logprob>& logprobs) {
  out += R"({"text_offset":)";
  append_json_array(
      out, logprobs, [&](const auto& entry) { append_json_int(out, entry.text_offset); });
  out += R"(,"token_logprobs":)";
  append_json_array(out, logprobs, [&](const auto& entry) {
    if (entry.logprob) {
      append_json_float(out, *entry.logprob);
    } else {
      out += "null";
    }
  });
  out += R"(,"tokens":)";
  append_json_array(
      out, logprobs, [&](const auto& entry) { append_json_string(out, entry.token); });
  out += R"(,"top_logprobs":)";
  append_json_array(out, logprobs, [&](const auto& entry) {
    if (entry.logprob) {
      append_top(out, entry);
    } else {
      out += "null";
    }
  });
  out += '}';
}

}  // namespace

CompletionFormat::CompletionFormat(const AnswerForm& form,
                                   Shape shape,
                                   std::string_view model,
                                   std::string_view fingerprint)
    : AnswerFormat(form, shape, "text_completion", model, fingerprint) {}

void CompletionFormat::append_piece(std::string& out,
                                    const ChoiceDelta& piece,
                                    const Usage& so_far) {
  begin_event(out);
  append_choice(out, piece);
  end_event(out, so_far);
}

void CompletionFormat::append_choice(std::string& out, const ChoiceDelta& choice) const {
  out += R"({"index":)";
  append_json_int(out, choice.index);
  out += R"(,"text":)";
  append_json_string(out, choice.text);
  out += R"(,"logprobs":)";
  if (has_logprobs()) {
    append_logprobs(out, choice.logprobs);
  } else {
    out += "null";
  }
  append_finish(out, choice);
  out += '}';
}

}  // namespace sluice
