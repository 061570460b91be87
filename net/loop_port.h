// What a listener needs of a protocol on one loop, and the places of its connections.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace sluice {

/// The connections of one port on one loop. Everything on the loop's thread.
class LoopPort {
 public:
  virtual ~LoopPort() = default;
  /// Takes over an accepted socket. Over a limit it is told so and closed.
  ///   address, port  the client's
  virtual void adopt(int socket, const std::string& address, std::uint16_t port) = 0;
  /// Tells the client that there is no room, waits for nothing, and closes the socket.
  virtual void turn_away(int socket) = 0;
  /// Closes the connection that has been idle for longest. False: none was idle.
  virtual bool make_room() = 0;
  /// Closes idle connections; the others close when their requests have ended.
  virtual void drain() = 0;
  /// Closes all connections at once; whoever answers on them is told.
  virtual void close_all() = 0;
};

/// The places that a port has, and what goes through it; shared by its loops. Thread-safe.
struct PortState {
  ///   places_of_address  0: no limit
  PortState(std::size_t places, std::size_t places_of_address)
      : places_(places), places_of_address_(places_of_address) {}

  /// Whether a connection found a place.
  enum class Entry : std::uint8_t { entered, full, address_full };
  /// Takes a place for a connection from `address`.
  ///   loops  of the port, if more than the limit may enter: idle connections are on their way out,
  ///          and as many more as there are loops are about to be idle
  Entry enter(const std::string& address, std::size_t loops = 0);
  void leave(const std::string& address);

  std::atomic<std::size_t> connections{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::size_t> idle{0};  ///< connections that wait for their next request
  std::atomic<std::uint64_t> bytes_in{0};
  std::atomic<std::uint64_t> bytes_out{0};
  std::atomic<std::size_t> answer_bytes{0};  ///< that lie here, for clients to take
  std::atomic<std::uint64_t> cut{0};         ///< connections, for want of room for those

 private:
  const std::size_t places_;
  const std::size_t places_of_address_;
  std::mutex mutex_;
  std::map<std::string, std::size_t> by_address_;
};

}  // namespace sluice
