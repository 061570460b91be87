// A server on a port of the system's choice, with a scripted handler, for tests of net/.
#pragma once

#include "net/event_loop.h"
#include "net/http.h"
#include "net/listener.h"
#include "tests/support/tcp_client.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

/// A value that one thread hands to another; waiting has a deadline.
template <class T>
class Box {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// The oldest value, or none at the deadline.
  std::optional<T> take(std::chrono::milliseconds deadline = TcpClient::kDeadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, deadline, [this] { return !values_.empty(); }))
      return std::nullopt;
    std::optional<T> value(std::move(values_.front()));
    values_.erase(values_.begin());
    return value;
  }
  [[nodiscard]] std::size_t size() {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

/// Answers 200 with "<method> <path>?<query> <body>" unless told otherwise; faults are answered
/// with their code as the body.
class ScriptedHandler final : public HttpHandler {
 public:
  using Exchange = std::shared_ptr<HttpExchange>;

  std::function<std::optional<HttpResponse>(const HttpRequest&)> head;
  std::function<void(HttpRequest, Exchange)> request;

  std::optional<HttpResponse> on_head(const HttpRequest& seen) override {
    return head ? head(seen) : std::nullopt;
  }
  void on_request(HttpRequest seen, Exchange exchange) override {
    if (request) return request(std::move(seen), std::move(exchange));
    HttpResponse response;
    response.headers.emplace_back("Content-Type", "text/plain");
    response.body = seen.method + " " + seen.path + "?" + seen.query + " " + seen.body;
    exchange->respond(std::move(response));
  }
  HttpResponse on_fault(const HttpFault& fault) override {
    HttpResponse response;
    response.status = fault.status;
    response.headers.emplace_back("X-Request-Id", fault.request_id);
    response.body = fault.code;
    return response;
  }
};

/// Loops, listener and handler. Members may be changed before `start`.
class HttpServer {
 public:
  ScriptedHandler handler;
  HttpOptions options;

  void start(int loops = 1) {
    std::vector<EventLoop*> pointers;
    for (int i = 0; i < loops; ++i) {
      auto loop = EventLoop::start("net-" + std::to_string(i));
      ASSERT_TRUE(loop);
      loops_.push_back(std::move(*loop));
      pointers.push_back(loops_.back().get());
    }
    auto opened = listen_http({"127.0.0.1", 0}, pointers, options, handler);
    ASSERT_TRUE(opened) << opened.error().message;
    listener_ = std::move(*opened);
  }
  ~HttpServer() { stop(); }
  void stop() {
    if (listener_) listener_->close();
    listener_.reset();
    loops_.clear();
  }

  [[nodiscard]] std::uint16_t port() const { return listener_->address().port; }
  [[nodiscard]] TcpClient connect(int receive_buffer = 0) const {
    return TcpClient(port(), receive_buffer);
  }
  [[nodiscard]] PortListener& listener() { return *listener_; }
  [[nodiscard]] EventLoop& loop(std::size_t i = 0) { return *loops_[i]; }

 private:
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::unique_ptr<PortListener> listener_;
};

}  // namespace sluice::test
