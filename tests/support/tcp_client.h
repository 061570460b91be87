// A blocking TCP client for tests: every receive has a deadline, so that a test fails instead of
// hanging. Speaks just enough HTTP to read responses.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::test {

/// One response as it came over the wire. Header names are in lower case.
struct WireResponse {
  int status = 0;  ///< 0: the connection ended or the deadline passed before a whole head
  std::string status_line;
  std::map<std::string, std::string> headers;
  std::string body;        ///< chunks joined
  std::size_t chunks = 0;  ///< without the last, empty one
  bool complete = false;   ///< the body ended as its framing says

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found != headers.end() ? found->second : "";
  }
};

class TcpClient {
 public:
  static constexpr std::chrono::milliseconds kDeadline{20000};

  /// Connects to 127.0.0.1; `receive_buffer` > 0 bounds the system's buffer, to be a slow reader.
  explicit TcpClient(std::uint16_t port, int receive_buffer = 0) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) throw std::runtime_error("socket");
    if (receive_buffer > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~TcpClient() { close(); }
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;
  TcpClient(TcpClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        received_(std::move(other.received_)) {}

  [[nodiscard]] bool connected() const { return connected_; }

  /// Sends all, or returns false when the other side closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// Sends in slices of `size` bytes, each a segment of its own.
  bool send_in_slices(std::string_view bytes, std::size_t size) {
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      if (!send(bytes.substr(at, size))) return false;
    }
    return true;
  }

  /// What arrives next, at most `limit` bytes; empty at the end of the stream, an error or the
  /// deadline (see `ended` and `reset`).
  std::string receive_some(std::size_t limit = 65536,
                           std::chrono::milliseconds deadline = kDeadline) {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(deadline.count())) <= 0) return "";
    std::string bytes(limit, '\0');
    const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (size == 0) ended_ = true;
    if (size < 0) reset_ = true;
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
  }
  [[nodiscard]] bool ended() const { return ended_; }  ///< the server shut its side cleanly

  /// Everything until the server closes; false at the deadline.
  bool receive_until_closed(std::string& bytes) {
    bytes += std::exchange(received_, "");
    for (;;) {
      const std::string more = receive_some();
      if (more.empty()) return ended_ || reset_;
      bytes += more;
    }
  }
  /// True when the server closes without another byte.
  bool closes_silently() {
    std::string bytes;
    return receive_until_closed(bytes) && bytes.empty();
  }

  /// The next response; for an answer to HEAD there is no body.
  WireResponse receive_response(bool to_head = false) {
    WireResponse response;
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return response;
    }
    parse_head(received_.substr(0, end), response);
    received_.erase(0, end + 4);
    const bool bodyless =
        to_head || response.status < 200 || response.status == 204 || response.status == 304;
    if (bodyless) {
      response.complete = true;
    } else if (response.header("transfer-encoding") == "chunked") {
      read_chunks(response);
    } else if (response.headers.contains("content-length")) {
      const std::size_t size = std::stoul(response.header("content-length"));
      while (received_.size() < size && fill()) {
      }
      response.complete = received_.size() >= size;
      response.body = received_.substr(0, size);
      received_.erase(0, size);
    } else {
      while (fill()) {
      }
      response.complete = ended_;
      response.body = std::exchange(received_, "");
    }
    return response;
  }

  void shut_write() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// Closes with a reset instead of an orderly end.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  bool fill() {
    const std::string more = receive_some();
    received_ += more;
    return !more.empty();
  }

  static void parse_head(const std::string& head, WireResponse& response) {
    std::size_t at = head.find("\r\n");
    response.status_line = head.substr(0, at);
    response.status = std::atoi(head.c_str() + std::min<std::size_t>(head.size(), 9));
    while (at != std::string::npos) {
      const std::size_t next = head.find("\r\n", at + 2);
      const std::string line = head.substr(at + 2, next - at - 2);
      const std::size_t colon = line.find(": ");
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      });
      if (colon != std::string::npos) response.headers[name] = line.substr(colon + 2);
      at = next;
    }
  }

  void read_chunks(WireResponse& response) {
    for (;;) {
      std::size_t end = 0;
      while ((end = received_.find("\r\n")) == std::string::npos) {
        if (!fill()) return;
      }
      const std::size_t size = std::stoul(received_.substr(0, end), nullptr, 16);
      while (received_.size() < end + 2 + size + 2) {
        if (!fill()) return;
      }
      response.body += received_.substr(end + 2, size);
      received_.erase(0, end + 2 + size + 2);
      if (size == 0) {
        response.complete = true;
        return;
      }
      ++response.chunks;
    }
  }

  int socket_ = -1;
  bool connected_ = false;
  bool ended_ = false;
  bool reset_ = false;
  std::string received_;
};

}  // namespace sluice::test
