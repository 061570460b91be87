// Replaces personal data in prompts before a model sees them, and in answers before a client does.
#include "manifest.h"
#include "redactor.h"
#include <sluice/plugin.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace {

using sluice::Answer;
using sluice::Call;
using sluice::Json;

struct PiiRedact : sluice::Plugin<PiiRedact> {
  static constexpr std::string_view manifest() { return {kManifest, sizeof kManifest}; }

  void start(const Json& config) { reload(config); }

  void reload(const Json& config) {
    pii::Kinds kinds = 0;
    for (const Json& name : config["kinds"].as_array())
      for (std::size_t i = 0; i < pii::kKinds; ++i)
        if (pii::kKindNames[i] == name.as_string()) kinds |= pii::bit(static_cast<pii::Kind>(i));
    kinds_ = kinds;
    prompts_ = config["prompts"].as_bool();
    answers_ = config["answers"].as_bool();
  }

  Answer on_preprocess(Call& call) {
    if (!prompts_) return sluice::skip();
    if (auto prompt = call.prompt()) {
      std::string redacted = redact(*prompt);
      if (redacted != *prompt) call.set_prompt(redacted);
    }
    if (auto messages = call.messages_json()) {
      Json json = Json::parse(*messages);
      if (redact_messages(json)) call.set_messages_json(json.dump());
    }
    return sluice::accept();
  }

  Answer on_output(Call& call, const sluice::OutputPiece& piece) {
    auto stream = streams_.find(piece.stream);
    if (piece.aborted) {
      if (stream != streams_.end()) streams_.erase(stream);
      return sluice::skip();
    }
    if (stream == streams_.end()) {
      // A stream keeps the configuration it began with: what it holds back was judged by that.
      if (!answers_) return sluice::skip();
      stream = streams_.emplace(piece.stream, pii::Redactor(kinds_)).first;
    }
    std::string settled = stream->second.push(piece.delta, piece.last);
    if (settled != piece.delta) call.set_text(settled);
    if (piece.last) {
      count(stream->second);
      streams_.erase(stream);
    }
    return sluice::accept();
  }

  Answer on_postprocess(Call& call) {
    if (!answers_) return sluice::skip();
    std::string redacted = redact(call.text());
    if (redacted != call.text()) call.set_text(redacted);
    return sluice::accept();
  }

 private:
  std::string redact(std::string_view text) {
    pii::Redactor redactor(kinds_);
    std::string redacted = redactor.push(text, true);
    count(redactor);
    return redacted;
  }

  void count(const pii::Redactor& redactor) {
    for (std::size_t i = 0; i < pii::kKinds; ++i)
      if (redactor.counts()[i] > 0)
        host().add(static_cast<std::uint32_t>(i), static_cast<double>(redactor.counts()[i]));
  }

  /// Replaces the string in place; whether it changed.
  bool redact_string(Json& owner, std::string_view member) {
    const Json* text = owner.find(member);
    if (!text || !text->is_string()) return false;
    std::string redacted = redact(text->as_string());
    if (redacted == text->as_string()) return false;
    owner.set(member, redacted);
    return true;
  }

  /// The content of every message: a string, or parts of which some have a text.
  bool redact_messages(Json& messages) {
    bool changed = false;
    for (Json& message : messages.as_array()) {
      changed |= redact_string(message, "content");
      const Json* content = message.find("content");
      if (!content || !content->is_array()) continue;
      Json parts = *content;
      bool parts_changed = false;
      for (Json& part : parts.as_array())
        parts_changed |= redact_string(part, "text");
      if (parts_changed) message.set("content", parts);
      changed |= parts_changed;
    }
    return changed;
  }

  pii::Kinds kinds_ = pii::kAllKinds;
  bool prompts_ = true;
  bool answers_ = true;
  std::unordered_map<std::uint64_t, pii::Redactor> streams_;
};

}  // namespace

SLUICE_PLUGIN(PiiRedact)
