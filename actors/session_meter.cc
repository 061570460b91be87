#include "actors/session_meter.h"

#include <utility>

namespace sluice {
namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(std::max(Duration::zero(), duration)).count();
}

bool has_happened(TimePoint time) {
  return time != TimePoint();
}

}  // namespace

SessionMeter::SessionMeter(FrontMetrics& metrics,
                           ModelMetrics& model,
                           PriorityClass priority_class,
                           bool stream,
                           TimePoint arrival,
                           RequestMeter request,
                           TenantFigures* tenant)
    : metrics_(metrics),
      model_(model),
      class_(model.classes[static_cast<std::size_t>(priority_class)]),
      stream_(stream),
      arrival_(arrival),
      request_(std::move(request)),
      tenant_(tenant) {
  request_.read(model, priority_class);
}

void SessionMeter::begin(std::size_t choices,
                         std::uint32_t max_tokens,
                         std::uint64_t prompt_tokens) {
  choices_.resize(choices);
  max_tokens_ = max_tokens;
  prompt_tokens_ = prompt_tokens;
  offered_ = now();
}

void SessionMeter::move(std::size_t choice, Place place) {
  Place before = std::exchange(choices_[choice].place, place);
  if (before == place) return;
  if (before == Place::waiting) class_.waiting->dec();
  if (before == Place::running) model_.running.dec();
  if (place == Place::waiting) class_.waiting->inc();
  if (place != Place::running) return;
  model_.running.inc();
  if (has_happened(entered_)) return;
  entered_ = now();
  class_.queue->observe(seconds(entered_ - offered_));
  if (prompt_tokens_ > 0) model_.prompt_tokens.inc(static_cast<std::int64_t>(prompt_tokens_));
  if (tenant_) tenant_->count_prompts(prompt_tokens_);
}

void SessionMeter::take(std::size_t choice, std::uint64_t tokens) {
  if (tokens == 0) return;
  TimePoint time = now();
  TimePoint before = std::exchange(choices_[choice].last_output, time);
  tokens_ += tokens;
  model_.generation_tokens.inc(static_cast<std::int64_t>(tokens));
  if (tenant_) tenant_->count_generated(tokens);
  if (has_happened(before)) model_.between_tokens.observe(seconds(time - before));
  if (has_happened(first_token_)) return;
  first_token_ = time;
  class_.first_token->observe(seconds(time - arrival_));
  class_.prefill->observe(seconds(time - entered_));
}

void SessionMeter::lessened(const Degradation& degradation) {
  auto lessenings = degradation.lessenings();
  for (std::size_t i = 0; i < lessenings.size(); ++i)
    if (lessenings[i]) model_.lessened[i]->inc();
}

void SessionMeter::finish(const RequestEnd& end) {
  if (std::exchange(finished_, true)) return;
  TimePoint time = now();
  request_.end(end, time);
  const bool complete = end.reason == EndReason::stop || end.reason == EndReason::length;
  if (end.reason == EndReason::cancelled)
    metrics_.count_gone(has_happened(first_token_) ? FrontMetrics::Phase::decode
                        : has_happened(entered_)   ? FrontMetrics::Phase::prefill
                                                   : FrontMetrics::Phase::queue);
  if (complete || end.reason == EndReason::deadline)
    class_.duration[stream_ ? 1 : 0]->observe(seconds(time - arrival_));
  if (!complete) waste(end.reason);
  if (!has_happened(entered_)) return;
  model_.request_prompt_tokens.observe(static_cast<double>(prompt_tokens_));
  model_.request_generation_tokens.observe(static_cast<double>(tokens_));
  model_.request_max_tokens.observe(max_tokens_);
  model_.request_choices.observe(static_cast<double>(choices_.size()));
  if (!complete || !has_happened(first_token_)) return;
  class_.decode->observe(seconds(time - first_token_));
  // Choices run beside each other, so each token of one stands for a token of all.
  std::size_t choices = choices_.size();
  if (tokens_ > choices)
    model_.per_output_token.observe(seconds(time - first_token_) * static_cast<double>(choices) /
                                    static_cast<double>(tokens_ - choices));
}

void SessionMeter::waste(EndReason reason) {
  if (tokens_ == 0) return;
  Counter& wasted = reason == EndReason::cancelled  ? model_.wasted_by_cancel
                    : reason == EndReason::deadline ? model_.wasted_by_deadline
                                                    : model_.wasted_by_error;
  wasted.inc(static_cast<std::int64_t>(tokens_));
}

}  // namespace sluice
