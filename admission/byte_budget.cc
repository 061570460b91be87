#include "admission/byte_budget.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

/// To give up a body that holds less helps nobody.
constexpr std::uint64_t kWorthTaking = std::uint64_t{16} << 10;

}  // namespace

std::shared_ptr<ByteBudget> ByteBudget::create(Options options) {
  return std::shared_ptr<ByteBudget>(new ByteBudget(options));
}

std::unique_ptr<ByteBudget::Share> ByteBudget::open(std::string address,
                                                    std::uint64_t expected,
                                                    std::function<void()> give_way,
                                                    TimePoint now) {
  auto entry = std::make_unique<Entry>();
  entry->address = std::move(address);
  entry->begun = now;
  entry->give_way = std::move(give_way);
  Calls calls;
  bool fits = false;
  {
    const std::lock_guard lock(mutex_);
    fits = make_room(*entry, expected, calls);
    if (fits) {
      auto& bodies = addresses_[entry->address].bodies;
      entry->place = bodies.insert(bodies.end(), entry.get());
    }
  }
  for (const auto& call : calls)
    call();
  if (!fits) return nullptr;
  return std::make_unique<Share>(shared_from_this(), std::move(entry));
}

bool ByteBudget::resize(Entry& entry, std::uint64_t bytes) {
  Calls calls;
  bool fits = true;
  {
    const std::lock_guard lock(mutex_);
    if (bytes > entry.bytes) fits = !entry.leaving && make_room(entry, bytes, calls);
    if (fits) {
      if (entry.unfinished && !entry.leaving) {
        Address& address = addresses_.at(entry.address);
        address.bytes = address.bytes - entry.bytes + bytes;
      }
      if (entry.leaving) leaving_ = leaving_ - entry.bytes + bytes;
      used_ = used_ - entry.bytes + bytes;
      entry.bytes = bytes;
    }
  }
  for (const auto& call : calls)
    call();
  return fits;
}

void ByteBudget::complete(Entry& entry) {
  const std::lock_guard lock(mutex_);
  forget_body(entry);
}

void ByteBudget::close(Entry& entry) {
  const std::lock_guard lock(mutex_);
  forget_body(entry);
  CHECK(used_ >= entry.bytes);
  used_ -= entry.bytes;
}

/// The entry no longer has an unfinished body.
void ByteBudget::forget_body(Entry& entry) {
  if (!std::exchange(entry.unfinished, false)) return;
  if (std::exchange(entry.leaving, false)) {
    leaving_ -= entry.bytes;
    return;
  }
  leave_address(entry);
}

void ByteBudget::leave_address(Entry& entry) {
  auto address = addresses_.find(entry.address);
  CHECK(address != addresses_.end());
  address->second.bytes -= entry.bytes;
  address->second.bodies.erase(entry.place);
  if (address->second.bodies.empty()) addresses_.erase(address);
}

std::uint64_t ByteBudget::limit_of(std::uint64_t bytes) const {
  return bytes <= options_.small ? options_.total : options_.total - options_.total / 8;
}

/// Whether the entry may hold `bytes`. If that is close to what there is, others are told to give
/// way: `calls` have to be made when the lock is free.
bool ByteBudget::make_room(const Entry& entry, std::uint64_t bytes, Calls& calls) {
  std::uint64_t limit = limit_of(bytes);
  std::uint64_t wanted = used_ - entry.bytes + bytes;
  std::uint64_t comfortable = limit - limit / 8;
  while (wanted - leaving_ > comfortable) {
    Entry* victim = find_victim(entry, bytes - entry.bytes);
    if (!victim) break;
    leave_address(*victim);
    victim->leaving = true;
    leaving_ += victim->bytes;
    gave_way_ += 1;
    calls.push_back(victim->give_way);
  }
  if (wanted <= limit) return true;
  refused_ += 1;
  return false;
}

ByteBudget::Entry* ByteBudget::find_victim(const Entry& wanting, std::uint64_t more) const {
  auto mine = addresses_.find(wanting.address);
  std::uint64_t my_bytes = mine == addresses_.end() ? 0 : mine->second.bytes;
  const Address* heaviest = nullptr;
  for (const auto& [name, address] : addresses_)
    if (!heaviest || address.bytes > heaviest->bytes) heaviest = &address;
  if (heaviest && heaviest->bytes > my_bytes && heaviest->bytes >= my_bytes + more)
    if (Entry* victim = oldest_of(*heaviest, &wanting)) return victim;
  if (mine == addresses_.end()) return nullptr;
  Entry* own = oldest_of(mine->second, &wanting);
  return own && own->begun + options_.grace <= wanting.begun ? own : nullptr;
}

/// The oldest body that is worth it.
ByteBudget::Entry* ByteBudget::oldest_of(const Address& address, const Entry* but_not) {
  for (Entry* body : address.bodies)
    if (body != but_not && body->bytes >= kWorthTaking) return body;
  return nullptr;
}

std::uint64_t ByteBudget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

std::uint64_t ByteBudget::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

std::uint64_t ByteBudget::gave_way() const {
  const std::lock_guard lock(mutex_);
  return gave_way_;
}

}  // namespace sluice
