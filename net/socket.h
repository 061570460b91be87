// Listening sockets: addresses, and several sockets on one port.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/listener.h"

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

/// Opens `count` listening sockets on one port, non-blocking, which the system balances between
/// (SO_REUSEPORT). With port 0 the system chooses the port for all. A port that another process
/// listens on is refused even if it allows sharing.
///   unacknowledged_max  how long a client may leave what was sent unacknowledged before the
///                       system gives the connection up (TCP_USER_TIMEOUT, RFC 5482)
/// Errors: unavailable, naming the address; invalid_argument for an address that is none.
Result<std::vector<int>> open_listening_sockets(const ListenAddress& address,
                                                std::size_t count,
                                                Duration unacknowledged_max);

/// The address a socket is bound to.
ListenAddress bound_address(int socket);
/// Host and port of a peer; the host without brackets, and a client of IPv4 by its IPv4 address.
void format_peer(const sockaddr_storage& peer, std::string& host, std::uint16_t& port);

}  // namespace sluice
