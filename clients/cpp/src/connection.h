// One connection: a socket, a thread that reads it, and the calls that wait for what comes.
#pragma once

#include "session.h"
#include "sluice/client/client.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace sluice::client::detail {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;  ///< none: any time

/// Thread-safe. It ends for good when the server or the network ends it.
class Connection {
 public:
  /// Connects and shakes hands. Errors: connection_failed, timeout, protocol_error, FATAL's.
  static Expected<std::shared_ptr<Connection>> open(const Options& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Takes new requests.
  [[nodiscard]] bool is_usable();
  /// Waits for room, then sends. Errors: why there is no connection any more; timeout.
  Expected<std::shared_ptr<Call>> ask(const std::string& method,
                                      const Value::Map& params,
                                      const Meta& meta,
                                      bool is_stream,
                                      const Deadline& deadline);
  /// Waits until the call has ended, or an item of it is there. False: the deadline has passed.
  bool wait(const Call& call, const Deadline& deadline);
  /// Why a call has ended before anything came of it, if it has.
  std::optional<Error> early_error(const Call& call);
  /// The next item, if one is there.
  std::optional<Value> take_item(Call& call);
  void cancel(const std::shared_ptr<Call>& call);

 private:
  explicit Connection(const Options& options) : options_(options), session_(options_) {}

  std::optional<Error> connect();
  void read();
  void flush(std::unique_lock<std::mutex>& lock);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Session session_;
  int socket_ = -1;
  bool sending_ = false;
  std::thread reader_;
};

/// The connection that is used now.
class Link {
 public:
  explicit Link(const Options& options) : options_(options) {}
  Expected<std::shared_ptr<Connection>> get();

 private:
  const Options& options_;
  std::mutex mutex_;
  std::shared_ptr<Connection> current_;
};

}  // namespace sluice::client::detail
