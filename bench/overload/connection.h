// One keep-alive connection to the server: a request at a time, its answer read as it comes.
#pragma once

#include "bench/overload/answer_reader.h"

#include <uv.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::overload {

class Connection;

/// Who is told what happens on connections. Each call may open, use and close the connection.
class ConnectionUser {
 public:
  virtual void on_open(Connection& connection) = 0;
  virtual void on_first_token(Connection& connection) = 0;
  virtual void on_answer(Connection& connection, const Answer& answer) = 0;
  /// It could not be opened, or broke, whether it was in use or not. It is to be closed.
  ///   garbled  something came that is no answer
  virtual void on_lost(Connection& connection, bool garbled) = 0;
  /// It may be opened again.
  virtual void on_closed(Connection& connection) = 0;

 protected:
  ~ConnectionUser() = default;
};

/// Lives on the loop's thread, and until `on_closed`. Its address must not change.
class Connection {
 public:
  ///   read_buffer  of `kReadBufferBytes`; one for all connections, for each read is used at once
  ///   number       of the user's choice
  Connection(uv_loop_t* loop, char* read_buffer, std::uint32_t number, ConnectionUser& user)
      : loop_(loop), read_buffer_(read_buffer), number_(number), user_(user) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  static constexpr std::size_t kReadBufferBytes = std::size_t{64} << 10;

  /// Begins to connect a closed one. False: it cannot (no descriptor, no port), and will be closed.
  bool open(const sockaddr* address);
  /// Sends a request; the answer is expected from now on. An open one without another request.
  void send(std::string_view request);
  /// Closes it without a goodbye: a client that gives up. A connection that was closed in order
  /// would keep its port for a minute, and there are 28,000.
  void close();

  [[nodiscard]] std::uint32_t number() const { return number_; }

 private:
  void on_read(ssize_t count);

  uv_loop_t* loop_;
  char* read_buffer_;
  std::uint32_t number_;
  ConnectionUser& user_;
  uv_tcp_t tcp_{};
  uv_connect_t connect_{};
  uv_write_t write_{};
  std::string unsent_;  // what the system did not take at once
  AnswerReader reader_;
  bool expects_ = false;     // an answer
  bool told_token_ = false;  // on_first_token was called for it
  bool is_open_ = false;     // or opening
};

}  // namespace sluice::overload
