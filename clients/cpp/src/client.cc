#include "sluice/client/client.h"

#include "connection.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

namespace sluice::client {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Milliseconds kBackoffMax{10'000};

detail::Deadline deadline_in(Milliseconds timeout) {
  if (timeout.count() <= 0) return std::nullopt;
  return SteadyClock::now() + timeout;
}

Error timed_out(Milliseconds timeout) {
  return {.code = "timeout",
          .message = "There was no answer within " + std::to_string(timeout.count()) + " ms."};
}

/// Overload, a server that cannot serve now, and a connection that failed. Other errors may pass,
/// too, but would most likely come again.
bool is_worth_a_retry(const Error& error) {
  return error.retryable && (error.http == 0 || error.http == 429 || error.http == 503);
}

Usage read_usage(const Value& usage) {
  return {static_cast<std::uint64_t>(usage["prompt_tokens"].integer()),
          static_cast<std::uint64_t>(usage["completion_tokens"].integer())};
}

Piece read_piece(const Value& item) {
  Piece piece;
  piece.choice = static_cast<std::uint32_t>(item["c"].integer());
  piece.text = item["t"].text();
  for (const Value& token : item["k"].array())
    piece.tokens.push_back(token.integer());
  piece.finish_reason = item["f"].text();
  piece.logprobs = item["l"];
  return piece;
}

}  // namespace

// --- Stream --------------------------------------------------------------------------------------

Stream::Stream(std::shared_ptr<detail::Connection> connection,
               std::shared_ptr<detail::Call> call,
               Milliseconds timeout)
    : connection_(std::move(connection)), call_(std::move(call)), timeout_(timeout) {}

Stream::Stream(Error error) : error_(std::move(error)) {}

Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  cancel();
  connection_ = std::move(other.connection_);
  call_ = std::move(other.call_);
  timeout_ = other.timeout_;
  error_ = std::move(other.error_);
  trailer_ = std::move(other.trailer_);
  return *this;
}

Stream::~Stream() {
  cancel();
}

std::optional<Piece> Stream::next() {
  if (!call_) return std::nullopt;
  if (!connection_->wait(*call_, deadline_in(timeout_))) {
    cancel();
    error_ = timed_out(timeout_);
    return std::nullopt;
  }
  if (auto item = connection_->take_item(*call_)) return read_piece(*item);
  trailer_ = std::move(call_->about);
  error_ = std::move(call_->error);
  call_.reset();
  connection_.reset();
  return std::nullopt;
}

Usage Stream::usage() const {
  return read_usage(trailer_["usage"]);
}

void Stream::cancel() {
  if (!call_) return;
  connection_->cancel(call_);
  call_.reset();
  connection_.reset();
  error_ = Error{.code = "cancelled", .message = "The stream was left before its end."};
}

// --- Client --------------------------------------------------------------------------------------

Client::Client(Options options)
    : options_(std::move(options)), link_(std::make_unique<detail::Link>(options_)) {}

Client::~Client() = default;

/// Each time twice as long, spread by a half, so that clients which were refused together do not
/// come back together; and never before the server says that it is worth it.
void Client::wait_for_retry(int attempt, const Error& error) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  const Milliseconds longest =
      std::min(kBackoffMax, options_.backoff * (1 << std::min(attempt, 10)));
  std::uniform_int_distribution<std::int64_t> spread(longest.count() / 2, longest.count());
  const Milliseconds wait =
      std::max(error.retry_after.value_or(Milliseconds()), Milliseconds(spread(random)));
  if (options_.sleep)
    options_.sleep(wait);
  else
    std::this_thread::sleep_for(wait);
}

Expected<Client::Whole> Client::ask(const std::string& method,
                                    const Value::Map& params,
                                    const Meta& meta) {
  const auto deadline = deadline_in(options_.timeout);
  for (int attempt = 0;; ++attempt) {
    Error error;
    if (auto connection = link_->get(); !connection) {
      error = connection.error();
    } else if (auto call = (*connection)->ask(method, params, meta, false, deadline); !call) {
      error = call.error();
    } else if (!(*connection)->wait(**call, deadline)) {
      (*connection)->cancel(*call);
      return timed_out(options_.timeout);
    } else if (!(*call)->error) {
      return Whole{std::move((*call)->result), std::move((*call)->about)};
    } else {
      error = *(*call)->error;
    }
    const bool in_time = !deadline || SteadyClock::now() < *deadline;
    if (!is_worth_a_retry(error) || attempt >= options_.retries || !in_time) return error;
    wait_for_retry(attempt, error);
  }
}

Expected<Answer> Client::generate(const std::string& method,
                                  const Value::Map& params,
                                  const Meta& meta) {
  auto whole = ask(method, params, meta);
  if (!whole) return whole.error();
  Answer answer;
  answer.body = std::move(whole->result);
  answer.about = std::move(whole->about);
  answer.id = answer.body["id"].text();
  answer.model = answer.body["model"].text();
  answer.usage = read_usage(answer.body["usage"]);
  for (const Value& from : answer.body["choices"].array()) {
    Choice choice;
    choice.index = static_cast<std::uint32_t>(from["index"].integer());
    choice.text =
        from["message"].is_map() ? from["message"]["content"].text() : from["text"].text();
    choice.finish_reason = from["finish_reason"].text();
    answer.choices.push_back(std::move(choice));
  }
  return answer;
}

Expected<Answer> Client::complete(Value::Map params, const Meta& meta) {
  return generate("completions.create", params, meta);
}

Expected<Answer> Client::chat(Value::Map params, const Meta& meta) {
  return generate("chat.create", params, meta);
}

/// Waits for the first piece or the end, for until then it may be tried again.
Stream Client::open_stream(const std::string& method, Value::Map params, const Meta& meta) {
  params.emplace_back("stream", true);
  for (int attempt = 0;; ++attempt) {
    const auto deadline = deadline_in(options_.timeout);
    Error error;
    if (auto connection = link_->get(); !connection) {
      error = connection.error();
    } else if (auto call = (*connection)->ask(method, params, meta, true, deadline); !call) {
      error = call.error();
    } else {
      Stream stream(*connection, *call, options_.timeout);
      if (!(*connection)->wait(**call, deadline)) {
        stream.cancel();
        stream.error_ = timed_out(options_.timeout);
        return stream;
      }
      const auto early = (*connection)->early_error(**call);
      if (!early) return stream;
      error = *early;
    }
    if (!is_worth_a_retry(error) || attempt >= options_.retries) return Stream(std::move(error));
    wait_for_retry(attempt, error);
  }
}

Stream Client::stream_completion(Value::Map params, const Meta& meta) {
  return open_stream("completions.create", std::move(params), meta);
}

Stream Client::stream_chat(Value::Map params, const Meta& meta) {
  return open_stream("chat.create", std::move(params), meta);
}

Expected<Value> Client::call(const std::string& method, Value::Map params, const Meta& meta) {
  auto whole = ask(method, params, meta);
  if (!whole) return whole.error();
  return std::move(whole->result);
}

Expected<Value> Client::status() {
  return call("status", {});
}

Expected<std::vector<std::string>> Client::models() {
  auto result = call("models.list", {});
  if (!result) return result.error();
  std::vector<std::string> names;
  for (const Value& model : (*result)["data"].array())
    names.push_back(model["id"].text());
  return names;
}

Expected<std::vector<std::int64_t>> Client::tokenize(const std::string& text) {
  auto result = call("tokenize", {{"prompt", text}});
  if (!result) return result.error();
  std::vector<std::int64_t> tokens;
  for (const Value& token : (*result)["tokens"].array())
    tokens.push_back(token.integer());
  return tokens;
}

Expected<std::string> Client::detokenize(const std::vector<std::int64_t>& tokens) {
  auto result = call("detokenize", {{"tokens", Value::Array(tokens.begin(), tokens.end())}});
  if (!result) return result.error();
  return (*result)["prompt"].text();
}

}  // namespace sluice::client
