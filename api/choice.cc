#include "api/choice.h"

#include "base/utf8.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

/// False for a prompt of special tokens alone, such as the one that stands for an empty text: what
/// comes then begins a text.
bool has_text(const std::vector<TokenId>& prompt, const Tokenizer& tokenizer) {
  return std::any_of(
      prompt.begin(), prompt.end(), [&](TokenId id) { return !tokenizer.is_special(id); });
}

}  // namespace

// --- StopMatcher -------------------------------------------------------------------------------

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include)
    : stops_(std::move(stops)), include_(include) {}

std::string StopMatcher::push(std::string_view piece) {
  if (matched_) return {};
  if (stops_.empty()) return std::string(piece);
  held_.append(piece);
  // The earliest match wins; among those that start together, the one named first.
  std::size_t first = std::string::npos;
  const std::string* winner = nullptr;
  for (const std::string& stop : stops_) {
    std::size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      winner = &stop;
    }
  }
  if (winner) {
    matched_ = *winner;
    held_.resize(first + (include_ ? winner->size() : 0));
    return std::exchange(held_, {});
  }
  // The longest tail that begins a stop string has to wait. Only whole characters are held or
  // shown, because both the pieces and the stop strings are made of whole characters.
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t size = std::min(stop.size() - 1, held_.size()); size > keep; --size) {
      if (std::string_view(held_).substr(held_.size() - size) ==
          std::string_view(stop).substr(0, size)) {
        keep = size;
        break;
      }
    }
  }
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return certain;
}

std::string StopMatcher::finish() {
  return std::exchange(held_, {});
}

// --- Choice ------------------------------------------------------------------------------------

Choice::Choice(Options options,
               std::shared_ptr<const Plan> plan,
               std::shared_ptr<const Tokenizer> tokenizer)
    : options_(std::move(options)),
      plan_(std::move(plan)),
      tokenizer_(tokenizer),
      detokenizer_(tokenizer,
                   options_.skip_special_tokens,
                   !options_.begins_text && has_text(plan_->prompt, *tokenizer)),
      prompt_detokenizer_(std::move(tokenizer), true),
      stops_(std::move(options_.stop), options_.include_stop),
      echo_pending_(options_.echo) {
  if (options_.echo) decoded_ = count_code_points(*options_.echo_text);
}

Choice::Verdict Choice::accept(const SequenceOutput& output, ChoiceDelta& delta, bool& has_delta) {
  has_delta = false;
  delta = ChoiceDelta{};
  delta.index = options_.index;
  if (finished_) return Verdict::duplicate;
  if (output.first_index > emitted_.size()) return Verdict::gap;
  if (output.first_index < emitted_.size()) return Verdict::duplicate;
  take_prompt_logprobs(output);
  std::string text;
  std::size_t taken = 0;
  for (; taken < output.tokens.size() && !stops_.matched(); ++taken) {
    bool last = taken + 1 == output.tokens.size();
    bool stop_token = last && output.finish == Finish::stop_token;
    emitted_.push_back(output.tokens[taken]);
    if (stop_token && !options_.include_stop) break;
    std::string piece;
    take_token(output, taken, piece);
    // A stop string counts once the plan's least number of tokens is there.
    text += emitted_.size() < plan_->min_tokens ? piece : stops_.push(piece);
  }
  if (stops_.matched()) {
    ended_early_ = output.finish == Finish::none;
    finish(Finish::stop_token, text, delta);
  } else if (output.finish != Finish::none) {
    finish(output.finish, text, delta);
  } else {
    show(std::move(text), delta);
  }
  has_delta = finished_ || !delta.text.empty() || !delta.logprobs.empty();
  if (has_delta) name_tokens(delta);
  return Verdict::accepted;
}

void Choice::cut(std::string stop_reason, ChoiceDelta& delta) {
  delta = ChoiceDelta{};
  delta.index = options_.index;
  std::string text;
  ended_early_ = true;
  finish(Finish::length, text, delta);
  delta.stop_reason = std::move(stop_reason);
  name_tokens(delta);
}

void Choice::name_tokens(ChoiceDelta& delta) {
  if (!options_.token_ids) return;
  delta.tokens.assign(emitted_.begin() + static_cast<std::ptrdiff_t>(named_), emitted_.end());
  named_ = emitted_.size();
}

void Choice::take_prompt_logprobs(const SequenceOutput& output) {
  if (!plan_->prompt_logprobs || !options_.echo) return;
  for (std::size_t i = 0; i < output.prompt_logprobs.size(); ++i) {
    std::uint32_t position = output.prompt_first + static_cast<std::uint32_t>(i);
    if (position != std::max(prompt_known_, 1U) || position >= plan_->prompt.size()) continue;
    // Nothing comes before the first token, so it has no probability.
    if (prompt_known_ == 0) push_prompt_entry(0, {});
    push_prompt_entry(position, output.prompt_logprobs[i]);
    prompt_known_ = position + 1;
  }
}

void Choice::push_prompt_entry(std::uint32_t position, const TokenLogprobs& logprobs) {
  TokenId id = plan_->prompt[position];
  ChoiceDelta::Logprob entry = describe(id, logprobs, std::min(prompt_decoded_, decoded_));
  if (position == 0) {
    entry.logprob.reset();
    entry.top.clear();
  }
  waiting_.push_back({std::move(entry)});
  prompt_decoded_ += count_code_points(prompt_detokenizer_.push(id));
}

void Choice::take_token(const SequenceOutput& output, std::size_t i, std::string& text) {
  if (i < output.logprobs.size()) {
    waiting_.push_back({describe(output.tokens[i], output.logprobs[i], decoded_)});
  }
  text = detokenizer_.push(output.tokens[i]);
  decoded_ += count_code_points(text);
}

ChoiceDelta::Logprob Choice::describe(TokenId id,
                                      const TokenLogprobs& logprobs,
                                      std::size_t offset) const {
  ChoiceDelta::Logprob entry;
  entry.token = tokenizer_->bytes(id);
  entry.logprob = logprobs.chosen;
  entry.text_offset = offset;
  for (const auto& [other, logprob] : logprobs.top)
    entry.top.emplace_back(tokenizer_->bytes(other), logprob);
  return entry;
}

void Choice::show(std::string text, ChoiceDelta& delta) {
  if (echo_pending_) {
    text.insert(0, *options_.echo_text);
    options_.echo_text.reset();
    echo_pending_ = false;
  }
  shown_ += count_code_points(text);
  delta.text = std::move(text);
  // A token's entry goes out with the first character of its text.
  auto shown = [&](const Entry& entry) { return finished_ || entry.logprob.text_offset < shown_; };
  auto end = std::find_if_not(waiting_.begin(), waiting_.end(), shown);
  for (auto entry = waiting_.begin(); entry != end; ++entry)
    delta.logprobs.push_back(std::move(entry->logprob));
  waiting_.erase(waiting_.begin(), end);
}

void Choice::finish(Finish why, std::string& text, ChoiceDelta& delta) {
  finished_ = true;
  delta.finish_reason = why == Finish::stop_token ? "stop" : "length";
  if (stops_.matched()) {
    delta.stop_reason = *stops_.matched();
    // Tokens that lie wholly behind the end of the text are not shown.
    std::size_t end = shown_ + count_code_points(text) +
                      (echo_pending_ ? count_code_points(*options_.echo_text) : 0);
    std::erase_if(waiting_, [&](const Entry& entry) { return entry.logprob.text_offset >= end; });
  } else {
    text += stops_.push(detokenizer_.finish());
    text += stops_.finish();
    if (why == Finish::stop_token && !emitted_.empty()) {
      const auto& eos = tokenizer_->eos();
      if (!std::binary_search(eos.begin(), eos.end(), emitted_.back()))
        delta.stop_reason = emitted_.back();
    }
  }
  show(std::move(text), delta);
}

}  // namespace sluice
