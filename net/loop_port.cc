#include "net/loop_port.h"

namespace sluice {

PortState::Entry PortState::enter(const std::string& address, std::size_t loops) {
  // However long the other loops take: each place beyond the limit is that of an idle connection
  // which they have been told to close, or of one that is about to be idle.
  const std::size_t leaving = loops > 0 ? idle.load() + loops : 0;
  if (connections.fetch_add(1) >= places_ + leaving) {
    connections.fetch_sub(1);
    return Entry::full;
  }
  if (places_of_address_ == 0) return Entry::entered;
  const std::lock_guard lock(mutex_);
  std::size_t& count = by_address_[address];
  if (count >= places_of_address_) {
    connections.fetch_sub(1);
    return Entry::address_full;
  }
  ++count;
  return Entry::entered;
}

void PortState::leave(const std::string& address) {
  connections.fetch_sub(1);
  if (places_of_address_ == 0) return;
  const std::lock_guard lock(mutex_);
  const auto found = by_address_.find(address);
  if (found != by_address_.end() && --found->second == 0) by_address_.erase(found);
}

}  // namespace sluice
