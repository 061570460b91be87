// What a session measures of its request: where it stands, and how long each part has taken.
#pragma once

#include "actors/front_metrics.h"
#include "admission/tenant_figures.h"
#include "api/request.h"
#include "base/clock.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

/// One request, from its offer to its end. Owner: the session.
class SessionMeter {
 public:
  enum class Place : std::uint8_t { nowhere, waiting, running };

  ///   metrics  outlive it, as `model`
  ///   arrival  of the request
  ///   request  its count at the doors
  ///   tenant   outlives it; null: nobody's tokens are counted
  SessionMeter(FrontMetrics& metrics,
               ModelMetrics& model,
               PriorityClass priority_class,
               bool stream,
               TimePoint arrival,
               RequestMeter request,
               TenantFigures* tenant);

  /// Before the first offer.
  ///   max_tokens  of each choice
  void begin(std::size_t choices, std::uint32_t max_tokens, std::uint64_t prompt_tokens);
  /// The choice has come to another place.
  void move(std::size_t choice, Place place);
  /// The choice has new tokens.
  void take(std::size_t choice, std::uint64_t tokens);
  /// The choice ended because it may be no longer.
  void reach_length() { end_ = {200, EndReason::length}; }
  void offered_again(std::size_t why) { model_.resumed[why]->inc(); }
  /// It has an answer that is less than it was to be. Before its end.
  void lessened(const Degradation& degradation);
  void paused() { metrics_.count_pause(); }

  /// It has ended. Only the first call counts. Before its client hears of it.
  void complete() { finish(end_); }
  void finish(const RequestEnd& end);

 private:
  struct Choice {
    Place place = Place::nowhere;
    TimePoint last_output = {};
  };

  [[nodiscard]] TimePoint now() const { return metrics_.clock().now(); }
  void waste(EndReason reason);

  FrontMetrics& metrics_;
  ModelMetrics& model_;
  const ModelMetrics::Class& class_;
  const bool stream_;
  const TimePoint arrival_;
  RequestMeter request_;
  TenantFigures* const tenant_;
  RequestEnd end_;  ///< if it completes
  std::vector<Choice> choices_;
  std::uint32_t max_tokens_ = 0;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t tokens_ = 0;  ///< of all choices
  TimePoint offered_ = {};
  TimePoint entered_ = {};  ///< a choice came to run; zero: not yet, as the next
  TimePoint first_token_ = {};
  bool finished_ = false;
};

}  // namespace sluice
