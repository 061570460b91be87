// Binding and listening.
#include "net/socket.h"

#include "net/ascii.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

namespace sluice {
namespace {

constexpr int kBacklog = 1024;

struct SystemAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

bool to_system(const ListenAddress& address, SystemAddress& out) {
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    out.size = sizeof(sockaddr_in);
    return true;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    out.size = sizeof(sockaddr_in6);
    return true;
  }
  return false;
}

Error cannot(const char* what, const ListenAddress& address) {
  const int code = errno;
  if (code == EADDRINUSE) {
    return Error{ErrorCode::unavailable, "address in use: " + address.to_string()};
  }
  return Error{ErrorCode::unavailable,
               std::string("cannot ") + what + " " + address.to_string() + ": " +
                   std::generic_category().message(code)};
}

void set_option(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof value);
}

/// A bound socket; `share` lets the loops' sockets have the same port.
Result<int> bind_socket(const ListenAddress& address, bool share) {
  SystemAddress system;
  if (!to_system(address, system)) {
    return Error{ErrorCode::invalid_argument, "not an address: " + address.to_string()};
  }
  const int socket =
      ::socket(system.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return cannot("open a socket for", address);
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (share) set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (system.storage.ss_family == AF_INET6)
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, address.v6_only ? 1 : 0);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&system.storage), system.size) != 0) {
    Error error = cannot("bind", address);
    ::close(socket);
    return error;
  }
  return socket;
}

/// Accepted sockets inherit these from the listening one.
void set_connection_options(int socket, Duration unacknowledged_max) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(unacknowledged_max).count();
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(ms));
  // A client that vanished while nothing is being sent to it is found by probes, after 30 s.
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

Result<std::vector<int>> open_listening_sockets(const ListenAddress& address,
                                                std::size_t count,
                                                Duration unacknowledged_max) {
  // With SO_REUSEPORT the system would let us share a port with another program of this user; a
  // socket without it is refused then.
  if (address.port != 0) {
    const auto probe = bind_socket(address, false);
    if (!probe) return probe.error();
    ::close(*probe);
  }
  std::vector<int> sockets;
  ListenAddress shared = address;
  const auto give_up = [&sockets](Error error) {
    for (const int socket : sockets)
      ::close(socket);
    return error;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const auto socket = bind_socket(shared, true);
    if (!socket) return give_up(socket.error());
    sockets.push_back(*socket);
    if (shared.port == 0) shared.port = bound_address(*socket).port;
    set_connection_options(*socket, unacknowledged_max);
    if (::listen(*socket, kBacklog) != 0) return give_up(cannot("listen on", shared));
  }
  return sockets;
}

ListenAddress bound_address(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ListenAddress address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
    format_peer(storage, address.host, address.port);
  }
  return address;
}

void format_peer(const sockaddr_storage& peer, std::string& host, std::uint16_t& port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (peer.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);
    inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    port = ntohs(v4->sin_port);
  } else if (peer.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
    // A client of IPv4 has one name, whichever socket took it.
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
      inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    }
    port = ntohs(v6->sin6_port);
  }
  host = text.data();
}

Result<ListenAddress> ListenAddress::parse(const std::string& text) {
  const Error error{
      ErrorCode::invalid_argument,
      "\"" + text + "\" is not an address with a port, such as 127.0.0.1:8000 or " + "[::1]:8000"};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return error;
  ListenAddress address;
  address.host = text.substr(0, colon);
  const bool bracketed =
      address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']';
  if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
  if (bracketed != (address.host.find(':') != std::string::npos)) return error;
  const char* end = text.data() + text.size();
  const auto [last, failure] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (failure != std::errc() || last != end) return error;
  SystemAddress system;
  if (!to_system(address, system)) return error;
  return address;
}

bool ListenAddress::is_loopback() const {
  SystemAddress system;
  if (!to_system(*this, system)) return false;
  if (system.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&system.storage);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&system.storage);
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) != 0;
  return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0 || (mapped && v6->sin6_addr.s6_addr[12] == 127);
}

void separate_families(std::vector<ListenAddress>& addresses) {
  const auto is_v6 = [](const ListenAddress& address) {
    return address.host.find(':') != std::string::npos;
  };
  for (ListenAddress& address : addresses) {
    if (!is_v6(address)) continue;
    address.v6_only =
        std::any_of(addresses.begin(), addresses.end(), [&](const ListenAddress& other) {
          return !is_v6(other) && other.port == address.port && other.port != 0;
        });
  }
}

std::string ListenAddress::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace sluice
