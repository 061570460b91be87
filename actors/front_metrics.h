// What is counted on the way of a request: every series is looked up once, before or when it is
// first needed, and kept.
#pragma once

#include "actors/metrics_registry.h"
#include "admission/degradation_effects.h"
#include "api/idempotency.h"
#include "api/router.h"
#include "base/clock.h"
#include "base/priority_class.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Why a request for text has ended; a closed list.
enum class EndReason : std::uint8_t {
  stop,          ///< complete
  length,        ///< complete: as long as it may be
  cancelled,     ///< its client has gone
  deadline,      ///< out of time
  overloaded,    ///< too much is inside, or waits
  rate_limited,  ///< by its tenant's own limits
  breaker,       ///< no lane of the model takes work
  shed,          ///< the server takes nothing: it shuts down, or the model still loads
  poison,        ///< it has ended workers
  invalid,       ///< it is wrong, or its client may not
  error,         ///< our fault
  replayed,      ///< by the answer to another with the same Idempotency-Key
};
inline constexpr std::array<std::string_view, 12> kEndReasonNames{"stop",
                                                                  "length",
                                                                  "cancelled",
                                                                  "deadline",
                                                                  "overloaded",
                                                                  "rate_limited",
                                                                  "breaker",
                                                                  "shed",
                                                                  "poison",
                                                                  "invalid",
                                                                  "error",
                                                                  "replayed"};
inline constexpr std::size_t kEndReasons = kEndReasonNames.size();

/// The status under which a client that has gone is counted.
inline constexpr int kClientGone = 499;

/// How a request has ended.
struct RequestEnd {
  int status = 200;  ///< of HTTP; of a stream, what its error event stands for
  EndReason reason = EndReason::stop;

  /// What a refusal or an error counts as.
  static RequestEnd of(const ApiError& error);
};

/// Series by small numbers, each looked up when it is first needed. Thread-safe.
template <class Metric, std::size_t size>
class SeriesGrid {
 public:
  /// The series of that place; `look_up` finds it if nobody has asked for it yet.
  template <class LookUp>
  Metric& at(std::size_t place, LookUp&& look_up) {
    Metric* known = series_[place].load(std::memory_order_acquire);
    if (known == nullptr) {
      known = &look_up();  // two threads that come together find the same one
      series_[place].store(known, std::memory_order_release);
    }
    return *known;
  }

 private:
  std::array<std::atomic<Metric*>, size> series_{};
};

/// The series of one model.
struct ModelMetrics {
  ModelMetrics(MetricsRegistry& registry, std::string model);
  ModelMetrics(const ModelMetrics&) = delete;
  ModelMetrics& operator=(const ModelMetrics&) = delete;

  /// Of one class of requests.
  struct Class {
    Gauge* waiting = nullptr;
    std::array<Histogram*, 2> duration{};  ///< of those answered at once, of streams
    Histogram* first_token = nullptr;
    Histogram* queue = nullptr;
    Histogram* prefill = nullptr;
    Histogram* decode = nullptr;
  };

  const std::string model;
  std::array<Class, kPriorityClassNames.size()> classes;
  Gauge& running;
  Histogram& between_tokens;
  Histogram& per_output_token;
  Histogram& request_prompt_tokens;
  Histogram& request_generation_tokens;
  Histogram& request_max_tokens;
  Histogram& request_choices;
  Counter& prompt_tokens;
  Counter& generation_tokens;
  /// Cancelled, out of time, failed.
  Counter& wasted_by_cancel;
  Counter& wasted_by_deadline;
  Counter& wasted_by_error;
  std::array<Counter*, 6> resumed{};  ///< by trace::Why; null of `first`
  std::array<Counter*, kLessenings.size()> lessened{};
};

/// All that is counted where it happens. What others keep anyway (lanes, buckets, listeners) is not
/// here: it is read when somebody asks (metrics_page.h). Thread-safe.
class FrontMetrics {
 public:
  /// Where a request stood when its client left.
  enum class Phase : std::uint8_t { queue, prefill, decode };
  enum class Method : std::uint8_t { get, head, post, options, other };
  static Method method_of(std::string_view method);

  explicit FrontMetrics(std::shared_ptr<const Clock> clock);

  /// Before the first request. The series live as long as this.
  ModelMetrics& add_model(const std::string& name);

  /// A request for text has ended.
  ///   model           null: none was found, or it was not read so far
  ///   priority_class  none: it was not read so far
  void count(const ModelMetrics* model,
             Route route,
             std::optional<PriorityClass> priority_class,
             const RequestEnd& end);
  /// Any request has ended.
  ///   rule  null: there is no such route
  void observe(const RouteRule* rule, Method method, int status, Duration took);
  /// What came in was no request.
  ///   code  of the closed list of net's faults
  void count_fault(Listener listener, std::string_view code);
  /// Fields that a request named and nobody read.
  ///   names  separated by commas; empty: none
  void count_ignored(std::string_view names);
  /// A request came under an Idempotency-Key; the first of its kind is not counted.
  void count_idempotent(IdempotencyTable::Entry entry);
  void count_gone(Phase phase) { gone_[static_cast<std::size_t>(phase)]->inc(); }
  void count_pause() { pauses_.inc(); }
  /// How long actors of a kind take to answer.
  ///   kind  "admission", "batcher", "breaker", "executor" or "queue"; a role's name before the dot
  Histogram& actor_answers(std::string_view kind);
  /// Series that a page has left out.
  void count_dropped(std::uint64_t series);

  [[nodiscard]] const Clock& clock() const { return *clock_; }
  [[nodiscard]] const MetricsRegistry& registry() const { return registry_; }

 private:
  static constexpr std::size_t kRoutes = 2;  ///< that generate
  /// Statuses of answers; what is not here counts as "other".
  static constexpr std::array kCodes{200,
                                     400,
                                     401,
                                     403,
                                     404,
                                     405,
                                     408,
                                     409,
                                     411,
                                     413,
                                     415,
                                     417,
                                     429,
                                     431,
                                     500,
                                     501,
                                     kClientGone,
                                     503,
                                     504};
  static constexpr std::size_t kClasses = kPriorityClassNames.size() + 1;  ///< and an unknown one
  static constexpr std::size_t kMethods = 5;
  static constexpr std::size_t kStatusClasses = 5;
  static constexpr std::size_t kRoutesMax = 32;

  using Ends = SeriesGrid<Counter, kRoutes * kClasses*(kCodes.size() + 1) * kEndReasons>;

  /// A model's, or those of no model.
  struct OfModel {
    std::unique_ptr<ModelMetrics> metrics;  ///< null: of no model
    Ends ends;
  };

  Counter& look_up(
      OfModel& of, Route route, std::size_t class_place, std::size_t code_place, EndReason reason);
  OfModel& find(const ModelMetrics* model);

  std::shared_ptr<const Clock> clock_;
  MetricsRegistry registry_;
  std::deque<OfModel> models_;  ///< the first is that of no model
  SeriesGrid<Histogram, kRoutesMax * kMethods * kStatusClasses> durations_;
  std::array<Counter*, 3> gone_{};
  std::array<Counter*, 5> idempotent_{};  ///< by IdempotencyTable::Entry; null of `first`
  Counter& pauses_;
  Counter& dropped_;
};

/// One request on its way through the doors: counted once, when it ends, or as one whose client has
/// gone if nobody has said how. Moved along with it. One thread at a time.
class RequestMeter {
 public:
  RequestMeter() = default;  ///< counts nothing
  ///   metrics   outlive it
  ///   rule      null: there is no such route
  ///   method    as sent
  ///   received  when its head was complete
  RequestMeter(FrontMetrics& metrics,
               const RouteRule* rule,
               std::string_view method,
               TimePoint received);
  RequestMeter(RequestMeter&& other) noexcept;
  /// What this counted so far is `other`'s from then on.
  RequestMeter& operator=(RequestMeter&& other) noexcept;
  ~RequestMeter();

  /// What it asks for, as soon as it has been read.
  void read(const ModelMetrics& model, PriorityClass priority_class);
  /// It has ended; only the first call counts. Before the answer is on its way: who has it finds it
  /// counted.
  void end(const RequestEnd& end);
  void end(const RequestEnd& end, TimePoint now);

 private:
  FrontMetrics* metrics_ = nullptr;  ///< null: nothing is counted (any more)
  const RouteRule* rule_ = nullptr;
  FrontMetrics::Method method_ = FrontMetrics::Method::other;
  TimePoint received_;
  const ModelMetrics* model_ = nullptr;
  std::optional<PriorityClass> class_;
};

}  // namespace sluice
