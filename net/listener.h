// Listeners: accept connections on several loops that share one port.
#pragma once

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http.h"
#include "net/rpc.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// "127.0.0.1:8000", "[::1]:0". "[::]:8000" takes clients of IPv4, too, unless it is told not to.
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
  bool v6_only = false;  ///< an address of IPv6 leaves IPv4 to another listener

  /// Errors: invalid_argument, with what was expected.
  static Result<ListenAddress> parse(const std::string& text);
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] std::string to_string() const;
};

/// Where both families are listened on at one port, each address keeps to its own; otherwise they
/// would claim the same clients.
void separate_families(std::vector<ListenAddress>& addresses);

struct ListenerStats {
  std::size_t connections = 0;  ///< open now
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;     ///< over a limit
  std::size_t idle = 0;          ///< of `connections`: they wait for a request
  std::uint64_t bytes_in = 0;    ///< read from clients
  std::uint64_t bytes_out = 0;   ///< taken by the system for clients
  std::size_t answer_bytes = 0;  ///< that wait here for their clients to take them
  std::uint64_t cut = 0;         ///< connections, for want of room for those

  ListenerStats& operator+=(const ListenerStats& other);
};

/// One port, served by one listening socket a loop (SO_REUSEPORT); a connection belongs to the loop
/// that took it.
class PortListener {
 public:
  virtual ~PortListener() = default;

  [[nodiscard]] virtual ListenAddress address() const = 0;  ///< with the real port
  [[nodiscard]] virtual ListenerStats stats() const = 0;
  /// Stops accepting, closes idle connections; what runs goes on, and its connections close behind
  /// it. Any thread.
  virtual void drain() = 0;
  /// Closes everything; returns when no handler call runs or will run any more. Not on a loop's
  /// thread.
  virtual void close() = 0;
};

/// Binds and starts to accept. With port 0 the system chooses one, the same for all loops.
/// `handler` is called on the loops' threads and must outlive the listener.
/// Errors: unavailable ("address in use: 127.0.0.1:8000", "cannot bind ...: permission denied").
Result<std::unique_ptr<PortListener>> listen_http(const ListenAddress& address,
                                                  const std::vector<EventLoop*>& loops,
                                                  HttpOptions options,
                                                  HttpHandler& handler);

/// What a listener of Sluice RPC counts beside what all do.
struct RpcStats {
  std::array<std::uint64_t, kRpcTypeNames.size()> frames_in{};
  std::array<std::uint64_t, kRpcTypeNames.size()> frames_out{};
  std::array<std::uint64_t, kRpcFatalNames.size()> fatals{};  ///< that the server has said

  RpcStats& operator+=(const RpcStats& other);
};

class RpcListener : public PortListener {
 public:
  [[nodiscard]] virtual RpcStats rpc_stats() const = 0;
};

/// The same for Sluice RPC.
Result<std::unique_ptr<RpcListener>> listen_rpc(const ListenAddress& address,
                                                const std::vector<EventLoop*>& loops,
                                                RpcOptions options,
                                                RpcHandler& handler);

}  // namespace sluice
