#include "tests/sim/sim_link.h"

#include "tests/sim/coverage.h"

#include <algorithm>

namespace sluice::sim {

using namespace std::chrono_literals;

void Pipe::send(std::string bytes) {
  if (bytes.empty() || !deliver_) return;
  Duration latency = chance_.hit(0.02) ? chance_.duration(1ms, 8ms) : chance_.duration(20us, 200us);
  auto push = [&](std::string chunk) {
    last_ = std::max(last_, environment_.now() + latency);
    in_flight_ += chunk.size();
    chunks_.push_back(std::move(chunk));
    environment_.at(last_, Source::link, [self = shared_from_this()] { self->arrive(); });
  };
  if (bytes.size() > 1 && chance_.hit(0.05)) {
    std::size_t slice = 1 + chance_.below(bytes.size() - 1);
    push(bytes.substr(0, slice));
    latency += 300us;
    bytes.erase(0, slice);
  }
  push(std::move(bytes));
}

void Pipe::arrive() {
  if (environment_.now() < stalled_until_) {
    environment_.at(stalled_until_, Source::link, [self = shared_from_this()] { self->arrive(); });
    return;
  }
  if (chunks_.empty()) return;
  std::string chunk = std::move(chunks_.front());
  chunks_.pop_front();
  in_flight_ -= chunk.size();
  if (deliver_) deliver_(chunk);
}

void Pipe::flush() {
  auto self = shared_from_this();
  while (!chunks_.empty()) {
    std::string chunk = std::move(chunks_.front());
    chunks_.pop_front();
    in_flight_ -= chunk.size();
    if (deliver_) deliver_(chunk);
  }
}

void Saboteur::on_frame(std::uint32_t /*number*/, std::string& bytes, std::size_t start) {
  if (!held_.empty()) {
    bytes += std::exchange(held_, {});
    mark(Fault::reordered);
    return;
  }
  if (deeds_.empty()) return;
  Deed deed = deeds_.front();
  deeds_.pop_front();
  std::size_t size = bytes.size() - start;
  switch (deed) {
    case Deed::cut:
      bytes.resize(start + chance_.below(size));
      mark(Fault::truncated);
      break;
    case Deed::flip:
      bytes[start + chance_.below(size)] ^= static_cast<char>(1U << chance_.below(8));
      mark(Fault::bit_flip);
      break;
    case Deed::repeat:
      bytes += bytes.substr(start);
      mark(Fault::doubled);
      break;
    case Deed::swap:
      held_ = bytes.substr(start);
      bytes.resize(start);
      break;
  }
}

}  // namespace sluice::sim
