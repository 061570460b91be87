#include "api/chat_format.h"

#include "api/json_writer.h"

namespace sluice {
namespace {

/// A token as chat shows it: its text, and its bytes, which need not be whole characters.
void append_token(std::string& out, const std::string& token, float logprob) {
  out += R"({"token":)";
  append_json_string(out, token);
  out += R"(,"logprob":)";
  append_json_float(out, logprob);
  out += R"(,"bytes":)";
  append_json_array(
      out, token, [&](char byte) { append_json_int(out, static_cast<unsigned char>(byte)); });
}

void append_logprobs(std::string& out, const std::vector<ChoiceDelta::Logprob>& logprobs) {
  out += R"({"content":)";
  append_json_array(out, logprobs, [&](const auto& entry) {
    append_token(out, entry.token, entry.logprob.value_or(0));
    out += R"(,"top_logprobs":)";
    append_json_array(out, entry.top, [&](const auto& top) {
      append_token(out, top.first, top.second);
      out += '}';
    });
    out += '}';
  });
  out += R"(,"refusal":null})";
}

}  // namespace

ChatFormat::ChatFormat(const AnswerForm& form,
                       Shape shape,
                       std::string_view model,
                       std::string_view fingerprint)
    : AnswerFormat(form,
                   shape,
                   shape == Shape::events ? "chat.completion.chunk" : "chat.completion",
                   model,
                   fingerprint) {}

void ChatFormat::append_piece(std::string& out, const ChoiceDelta& piece, const Usage& so_far) {
  ChoiceDelta part;
  part.index = piece.index;
  if (begun_.size() <= piece.index) begun_.resize(piece.index + 1);
  if (!begun_[piece.index]) {
    begun_[piece.index] = true;
    append_delta(out, part, R"({"role":"assistant","content":""})", so_far);
  }
  if (!piece.text.empty() || !piece.logprobs.empty()) {
    std::string delta = R"({"content":)";
    append_json_string(delta, piece.text);
    delta += '}';
    part.logprobs = piece.logprobs;
    append_delta(out, part, delta, so_far);
    part.logprobs.clear();
  }
  if (!piece.finish_reason) return;
  part.finish_reason = piece.finish_reason;
  part.stop_reason = piece.stop_reason;
  append_delta(out, part, "{}", so_far);
}

void ChatFormat::append_delta(std::string& out,
                              const ChoiceDelta& piece,
                              std::string_view delta,
                              const Usage& so_far) const {
  begin_event(out);
  out += R"({"index":)";
  append_json_int(out, piece.index);
  out += R"(,"delta":)";
  out += delta;
  out += R"(,"logprobs":)";
  if (has_logprobs() && !piece.logprobs.empty()) {
    append_logprobs(out, piece.logprobs);
  } else {
    out += "null";
  }
  append_finish(out, piece);
  out += '}';
  end_event(out, so_far);
}

void ChatFormat::append_choice(std::string& out, const ChoiceDelta& choice) const {
  out += R"({"index":)";
  append_json_int(out, choice.index);
  out += R"(,"message":{"role":"assistant","content":)";
  append_json_string(out, choice.text);
  out += R"(,"refusal":null},"logprobs":)";
  if (has_logprobs()) {
    append_logprobs(out, choice.logprobs);
  } else {
    out += "null";
  }
  append_finish(out, choice);
  out += '}';
}

}  // namespace sluice
