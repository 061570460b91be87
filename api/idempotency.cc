#include "api/idempotency.h"

#include "api/errors.h"
#include "base/check.h"
#include "net/ascii.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kHeader = "Idempotency-Key";
/// What it costs about to know a name, beside its text and its answer's.
constexpr std::uint64_t kKnownBytes = 512;
/// The largest part of the memory that one answer may have.
constexpr std::uint64_t kLargestPart = 16;

std::uint64_t size_of(const std::string& name, const HttpResponse& answer) {
  std::uint64_t bytes = kKnownBytes + name.size() + answer.content().size();
  for (const auto& [field, value] : answer.headers)
    bytes += field.size() + value.size() + sizeof(HttpHeaders::value_type);
  return bytes;
}

std::string_view host_of(std::string_view peer) {
  return peer.substr(0, peer.rfind(':'));
}

}  // namespace

std::variant<std::optional<std::string>, ApiError> read_idempotency_key(
    const HttpRequest& request) {
  auto given = request.header("idempotency-key");
  if (!given) return std::optional<std::string>();
  if (auto fault = fault_of_idempotency_key(*given))
    return errors::invalid_header(kHeader, "The header Idempotency-Key " + *fault);
  return std::optional<std::string>(*given);
}

std::optional<std::string> fault_of_idempotency_key(std::string_view key) {
  const std::string expected =
      "must have 1 to " + std::to_string(kIdempotencyKeyMax) + " printable ASCII characters, ";
  if (key.empty() || key.size() > kIdempotencyKeyMax)
    return expected + "got " + std::to_string(key.size()) + " bytes.";
  auto printable = [](char c) { return c >= 0x20 && c <= 0x7E; };
  const auto* other = std::find_if_not(key.begin(), key.end(), printable);
  if (other == key.end()) return std::nullopt;
  return expected + "byte " + std::to_string(other - key.begin() + 1) + " of " +
         std::to_string(key.size()) + " is none.";
}

std::string idempotency_name(const Client& client,
                             std::string_view path,
                             std::string_view address,
                             std::string_view key) {
  // None of the parts but the key has a space, and that is the last one.
  std::string name;
  if (client.tenant && client.key_id != Client().key_id) {
    name = std::to_string(client.tenant->number);
  } else {
    name.append("@").append(address);
  }
  name.append(" ").append(path).append(" ").append(key);
  return name;
}

std::string idempotency_name(const Client& client,
                             const HttpRequest& request,
                             std::string_view key) {
  return idempotency_name(client, request.path, host_of(request.peer), key);
}

HttpResponse replayed_response(const HttpResponse& first, std::string_view request_id) {
  HttpResponse response = first;
  std::erase_if(response.headers,
                [](const auto& field) { return ascii::equals(field.first, "x-request-id"); });
  response.headers.emplace_back("X-Request-Id", request_id);
  response.headers.emplace_back("Idempotent-Replayed", "true");
  return response;
}

std::shared_ptr<IdempotencyTable> IdempotencyTable::create(Options options) {
  return std::shared_ptr<IdempotencyTable>(new IdempotencyTable(options));
}

IdempotencyTable::Entered IdempotencyTable::enter(const std::string& name,
                                                  const Hash128& body,
                                                  std::shared_ptr<Waiter> waiter,
                                                  TimePoint now) {
  std::lock_guard lock(mutex_);
  forget_expired(now);
  const auto [at, is_new] = names_.try_emplace(name);
  Known& known = at->second;
  if (is_new) {
    known.body = body;
    known.execution = std::make_shared<Execution>(shared_from_this(), name);
    return {Entry::first, known.execution, nullptr};
  }
  if (known.body != body) return {Entry::different, nullptr, nullptr};
  if (known.answer) return {Entry::replayed, nullptr, known.answer};
  if (known.execution->streams_) return {Entry::streams, nullptr, nullptr};
  known.execution->waiters_.push_back(std::move(waiter));
  return {Entry::joined, known.execution, nullptr};
}

bool IdempotencyTable::knows(const std::string& name, TimePoint now) {
  std::lock_guard lock(mutex_);
  forget_expired(now);
  return names_.contains(name);
}

IdempotencyTable::Stats IdempotencyTable::stats(TimePoint now) {
  std::lock_guard lock(mutex_);
  forget_expired(now);
  return {bytes_, kept_.size(), names_.size() - kept_.size()};
}

/// What ran under `known` has been answered.
void IdempotencyTable::keep(Names::iterator known, const HttpResponse& answer, TimePoint now) {
  const std::uint64_t bytes = size_of(known->first, answer);
  if (bytes > options_.bytes_max / kLargestPart || options_.answers_max == 0 ||
      options_.ttl <= Duration::zero()) {
    names_.erase(known);
    return;
  }
  while (bytes_ + bytes > options_.bytes_max || kept_.size() >= options_.answers_max)
    forget(names_.find(*kept_.front()));
  known->second.execution = nullptr;
  // A copy has no room to grow, as the text of an answer that was put together may have.
  known->second.answer = std::make_shared<const HttpResponse>(answer);
  known->second.bytes = bytes;
  known->second.expires = now + options_.ttl;
  known->second.place = kept_.insert(kept_.end(), &known->first);
  bytes_ += bytes;
}

void IdempotencyTable::forget(Names::iterator known) {
  CHECK(known != names_.end());
  bytes_ -= known->second.bytes;
  kept_.erase(known->second.place);
  names_.erase(known);
}

void IdempotencyTable::forget_expired(TimePoint now) {
  while (!kept_.empty()) {
    const auto oldest = names_.find(*kept_.front());
    if (oldest->second.expires > now) return;
    forget(oldest);
  }
}

void IdempotencyTable::Execution::streams() {
  std::vector<std::shared_ptr<Waiter>> waiters;
  {
    std::lock_guard lock(table_->mutex_);
    if (over_) return;
    streams_ = true;
    waiters.swap(waiters_);
  }
  for (const auto& waiter : waiters)
    waiter->refuse_stream();
  // The first client may have left while others waited for the answer that it does not get.
  leave(nullptr);
}

void IdempotencyTable::Execution::answered(const HttpResponse& response, TimePoint now) {
  std::vector<std::shared_ptr<Waiter>> waiters;
  std::function<void()> not_called;
  {
    std::lock_guard lock(table_->mutex_);
    if (std::exchange(over_, true)) return;
    waiters.swap(waiters_);
    not_called.swap(on_cancelled_);
    const auto known = table_->names_.find(name_);
    const bool made = response.status >= 200 && response.status < 300;
    if (made && !streams_) {
      table_->keep(known, response, now);
    } else {
      table_->names_.erase(known);
    }
  }
  for (const auto& waiter : waiters)
    waiter->answer(response);
}

void IdempotencyTable::Execution::ended() {
  std::vector<std::shared_ptr<Waiter>> waiters;
  std::function<void()> not_called;
  std::lock_guard lock(table_->mutex_);
  if (std::exchange(over_, true)) return;
  waiters.swap(waiters_);
  not_called.swap(on_cancelled_);
  table_->names_.erase(name_);
}

void IdempotencyTable::Execution::first_left() {
  {
    std::lock_guard lock(table_->mutex_);
    first_waits_ = false;
  }
  leave(nullptr);
}

void IdempotencyTable::Execution::left(const Waiter* waiter) {
  leave(waiter);
}

/// Cancels what nobody waits for any more.
void IdempotencyTable::Execution::leave(const Waiter* waiter) {
  std::shared_ptr<Waiter> gone;  // destroyed without the lock, as all who are called
  std::function<void()> cancelled;
  {
    std::lock_guard lock(table_->mutex_);
    const auto at = std::find_if(waiters_.begin(), waiters_.end(), [waiter](const auto& one) {
      return one.get() == waiter;
    });
    if (at != waiters_.end()) {
      gone = std::move(*at);
      waiters_.erase(at);
    }
    if (over_ || first_waits_ || !waiters_.empty()) return;
    over_ = cancelled_ = true;
    cancelled.swap(on_cancelled_);
    table_->names_.erase(name_);
  }
  if (cancelled) cancelled();
}

void IdempotencyTable::Execution::on_cancelled(std::function<void()> cancelled) {
  {
    std::lock_guard lock(table_->mutex_);
    if (!cancelled_) {
      if (!over_) on_cancelled_.swap(cancelled);
      return;
    }
  }
  cancelled();
}

}  // namespace sluice
