#include "bench/overload/generator.h"

#include "base/check.h"
#include "base/philox.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice::overload {
namespace {

// The generator looks at what is due this often at least, for its timers, and no more often: what
// came due meanwhile is sent together.
constexpr Duration kTurnLongest = std::chrono::milliseconds(1);
constexpr Duration kTurnShortest = std::chrono::microseconds(50);

// Each use of chance has numbers of its own, all of one seed.
constexpr std::uint64_t kKindKey = 0x6b696e64;
constexpr std::uint64_t kJitterKey = 0x6a697474;

std::size_t whole_seconds(Duration duration) {
  return static_cast<std::size_t>(
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(duration).count()));
}

std::string authority(const GeneratorOptions& options) {
  bool is_v6 = options.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + options.host + "]" : options.host) + ":" + std::to_string(options.port);
}

bool is_refusal(int status) {
  return status == 429 || status == 503;
}

}  // namespace

Generator::Generator(GeneratorOptions options)
    : options_(std::move(options)),
      arrivals_(options_.curve, options_.seed),
      text_(authority(options_), options_.path, options_.model, options_.kinds),
      statistics_(whole_seconds(options_.duration), options_.kinds.size()),
      requests_(options_.requests_max),
      waiting_(1, options_.requests_max),
      timers_(options_.requests_max),
      idle_(1, options_.connections_max),
      read_buffer_(Connection::kReadBufferBytes) {
  for (std::size_t id = options_.requests_max; id-- > 0;)
    free_requests_.push_back(static_cast<std::uint32_t>(id));
}

Generator::~Generator() {
  if (timer_fd_ >= 0) ::close(timer_fd_);
}

Duration Generator::now() const {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec) - Duration(start_ns_);
}

Result<void> Generator::run() {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address_);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address_);
  if (uv_ip4_addr(options_.host.c_str(), options_.port, v4) != 0 &&
      uv_ip6_addr(options_.host.c_str(), options_.port, v6) != 0)
    return Error{ErrorCode::invalid_argument, options_.host + " is no address"};
  // libuv's own timers know milliseconds only.
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer_fd_ < 0 || uv_loop_init(&loop_) != 0)
    return Error{ErrorCode::resource_exhausted, "cannot make a timer or a loop"};
  uv_poll_init(&loop_, &wake_, timer_fd_);
  wake_.data = this;
  uv_poll_start(&wake_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Generator*>(handle->data)->turn();
  });
  start_ns_ = now().count();
  arrivals_over_ = !fetch_arrival();
  turn();
  uv_run(&loop_, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop_) == 0);
  return {};
}

/// What is due is done; then the next moment is waited for.
void Generator::turn() {
  std::uint64_t expirations = 0;
  (void)!::read(timer_fd_, &expirations, sizeof expirations);
  release_arrivals();
  timers_.advance(now(), [this](std::uint32_t id) { on_timer(id); });
  Duration time = now();
  bool all_ended = arrivals_over_ && free_requests_.size() == requests_.size();
  if (all_ended || time > options_.duration + options_.drain) return finish();
  Duration until = arrivals_over_ ? time + kTurnLongest : std::min(next_->at, time + kTurnLongest);
  auto absolute = std::max(until, time + kTurnShortest).count() + start_ns_;
  itimerspec moment{};
  moment.it_value.tv_sec = absolute / 1'000'000'000;
  moment.it_value.tv_nsec = absolute % 1'000'000'000;
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &moment, nullptr);
}

void Generator::release_arrivals() {
  Duration time = now();
  while (!arrivals_over_ && next_->at <= time) {
    offer();
    arrivals_over_ = !fetch_arrival();
  }
}

/// The next arrival; false if there is none any more.
bool Generator::fetch_arrival() {
  if (options_.trace) {
    next_ = options_.trace->next();
    return next_ && next_->at < options_.duration;
  }
  Duration at = arrivals_.next();
  std::size_t kind =
      choose_kind(options_.kinds, philox_uniform(options_.seed ^ kKindKey, offered_));
  next_ = {at, kind, options_.kinds[kind].prompt_chars, options_.kinds[kind].max_tokens};
  return at < options_.duration;
}

/// Somebody intended a request: it begins to exist, and ends in one of the outcomes.
void Generator::offer() {
  Cell& cell = statistics_.at(next_->at, next_->kind);
  ++cell.offered;
  ++offered_;
  lateness_.record(now() - next_->at);
  if (free_requests_.empty()) {
    ++cell.ended[static_cast<std::size_t>(Outcome::dropped)];
    return;
  }
  std::uint32_t id = free_requests_.back();
  free_requests_.pop_back();
  Request& request = requests_[id];
  request = {};
  request.intended = request.attempt_at = next_->at;
  request.number = offered_;
  request.kind = static_cast<std::uint32_t>(next_->kind);
  request.prompt_chars = next_->prompt_chars;
  request.max_tokens = next_->max_tokens;
  begin_attempt(id);
}

void Generator::begin_attempt(std::uint32_t id) {
  Request& request = requests_[id];
  ++request.attempts;
  set_timer(id);
  if (has_connection()) return use_connection(id);
  request.state = Request::State::waits_for_connection;
  waiting_.push_back(0, id);
  if (request.attempts == 1) ++statistics_.at(request.intended, request.kind).waited;
}

bool Generator::has_connection() const {
  return idle_.back(0) != IndexLists::kNone || !closed_.empty() ||
         connections_.size() < options_.connections_max;
}

/// Sends on an idle connection, or opens one and sends when it is open. There is one.
void Generator::use_connection(std::uint32_t id) {
  std::uint32_t number = idle_.back(0);
  bool is_open = number != IndexLists::kNone;
  if (is_open) {
    idle_.remove(number);
  } else if (!closed_.empty()) {
    number = closed_.back();
    closed_.pop_back();
  } else {
    number = static_cast<std::uint32_t>(connections_.size());
    connections_.emplace_back(
        &loop_, read_buffer_.data(), number, static_cast<ConnectionUser&>(*this));
    request_of_.push_back(IndexLists::kNone);
  }
  requests_[id].state = Request::State::on_connection;
  requests_[id].connection = number;
  request_of_[number] = id;
  if (is_open) return send(connections_[number]);
  if (connections_[number].open(reinterpret_cast<const sockaddr*>(&address_))) return;
  request_of_[number] = IndexLists::kNone;
  end_attempt(id, Outcome::connection_error, {});
}

void Generator::send(Connection& connection) {
  Request& request = requests_[request_of_[connection.number()]];
  connection.send(
      text_.make(request.kind, request.number, request.prompt_chars, request.max_tokens));
  if (request.attempts == 1)
    ++statistics_.at(request.intended, request.kind).sent;
  else
    ++statistics_.at(now(), request.kind).retries;
}

/// Until when this attempt may take: its own time, and the patience of its client.
void Generator::set_timer(std::uint32_t id) {
  const Request& request = requests_[id];
  const ClientKind& kind = kind_of(request);
  constexpr Duration kNever = Duration::max();
  Duration until = kind.patience == Duration(0) ? kNever : request.intended + kind.patience;
  if (kind.attempt > Duration(0)) until = std::min(until, request.attempt_at + kind.attempt);
  if (until == kNever)
    timers_.cancel(id);
  else
    timers_.set(id, until);
}

void Generator::on_timer(std::uint32_t id) {
  Request& request = requests_[id];
  if (request.state == Request::State::waits_to_retry) {
    request.attempt_at = now();
    return begin_attempt(id);
  }
  if (request.state == Request::State::on_connection) {
    request_of_[request.connection] = IndexLists::kNone;
    connections_[request.connection].close();
  } else {
    waiting_.remove(id);
  }
  end_attempt(id, Outcome::timed_out, {});
}

/// An attempt has brought no answer: its client asks again later, or the request ends.
void Generator::end_attempt(std::uint32_t id, Outcome outcome, const Disappointment& how) {
  Request& request = requests_[id];
  const ClientKind& kind = kind_of(request);
  Duration time = now();
  Duration left =
      kind.patience == Duration(0) ? Duration::max() : request.intended + kind.patience - time;
  double uniform =
      philox_uniform(options_.seed ^ kJitterKey, request.number << 16 ^ request.attempts);
  auto wait = retry_after(kind, how, request.attempts, left, uniform);
  if (!wait) return end(id, outcome);
  request.state = Request::State::waits_to_retry;
  timers_.set(id, time + *wait);
}

void Generator::end(std::uint32_t id, Outcome outcome) {
  const Request& request = requests_[id];
  Cell& cell = statistics_.at(request.intended, request.kind);
  ++cell.ended[static_cast<std::size_t>(outcome)];
  if (outcome == Outcome::answered) {
    Duration took = now() - request.intended;
    cell.answered.record(took);
    if (took <= kind_of(request).objective) ++cell.good;
  }
  timers_.cancel(id);
  waiting_.remove(id);
  free_requests_.push_back(id);
}

void Generator::release_connection(Connection& connection, bool keep) {
  request_of_[connection.number()] = IndexLists::kNone;
  if (!keep) return connection.close();
  idle_.push_back(0, connection.number());
  serve_waiting();
}

void Generator::serve_waiting() {
  while (!finished_ && has_connection()) {
    std::uint32_t id = waiting_.front(0);
    if (id == IndexLists::kNone) return;
    waiting_.remove(id);
    use_connection(id);
  }
}

/// Whoever gives up while it opens closes it, so somebody waits for it.
void Generator::on_open(Connection& connection) {
  send(connection);
}

void Generator::on_first_token(Connection& connection) {
  Request& request = requests_[request_of_[connection.number()]];
  if (std::exchange(request.had_token, true)) return;
  Duration took = now() - request.intended;
  statistics_.at(request.intended, request.kind).first_token.record(took);
}

void Generator::on_answer(Connection& connection, const Answer& answer) {
  std::uint32_t id = request_of_[connection.number()];
  const Request& request = requests_[id];
  if (answer.complete(kind_of(request).stream)) {
    end(id, Outcome::answered);
  } else {
    count_refusal(request, answer);
    bool refused = is_refusal(answer.status);
    end_attempt(id,
                refused ? Outcome::refused : Outcome::failed,
                {refused, answer.retry_after, answer.never_retry});
  }
  release_connection(connection, answer.keep_alive);
}

void Generator::count_refusal(const Request& request, const Answer& answer) {
  Duration time = now();
  Cell& cell = statistics_.at(time, request.kind);
  ++cell.reasons[statistics_.reasons.number_of(answer.status, answer.code)];
  if (is_refusal(answer.status)) cell.refusal.record(time - request.attempt_at);
}

void Generator::on_lost(Connection& connection, bool garbled) {
  std::uint32_t number = connection.number();
  idle_.remove(number);
  std::uint32_t id = std::exchange(request_of_[number], IndexLists::kNone);
  connection.close();
  if (id != IndexLists::kNone)
    end_attempt(id, garbled ? Outcome::failed : Outcome::connection_error, {});
}

void Generator::on_closed(Connection& connection) {
  closed_.push_back(connection.number());
  serve_waiting();
}

/// What has not ended is counted as such, and everything is closed.
void Generator::finish() {
  finished_ = true;
  std::vector<char> is_free(requests_.size(), 0);
  for (std::uint32_t id : free_requests_)
    is_free[id] = 1;
  for (std::uint32_t id = 0; id < requests_.size(); ++id)
    if (is_free[id] == 0) end(id, Outcome::unfinished);
  for (Connection& connection : connections_)
    connection.close();
  uv_poll_stop(&wake_);
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
}

}  // namespace sluice::overload
