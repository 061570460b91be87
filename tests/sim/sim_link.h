// One direction of a worker's link: bytes that arrive later, in slices, or not at all.
#pragma once

#include "tests/sim/environment.h"
#include "worker/link_codec.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice::sim {

/// Bytes on their way. They arrive in order; a stalled pipe keeps them until the stall is over.
class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  using Deliver = std::function<void(std::string_view)>;

  Pipe(Environment& environment, Chance& chance, Deliver deliver)
      : environment_(environment), chance_(chance), deliver_(std::move(deliver)) {}

  void send(std::string bytes);
  void stall(TimePoint until) { stalled_until_ = std::max(stalled_until_, until); }
  void heal() { stalled_until_ = TimePoint{}; }
  /// What is on its way arrives now.
  void flush();
  /// Nothing arrives any more.
  void cut() { deliver_ = nullptr; }
  /// When the last byte that was sent arrives.
  [[nodiscard]] TimePoint last_arrival() const { return last_; }
  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

 private:
  void arrive();

  Environment& environment_;
  Chance& chance_;
  Deliver deliver_;
  std::deque<std::string> chunks_;  // on their way, in order
  TimePoint last_;
  TimePoint stalled_until_;
  std::size_t in_flight_ = 0;
};

/// Damages the next frames that are written, as it was told to.
class Saboteur final : public LinkTap {
 public:
  enum class Deed : std::uint8_t { cut, flip, repeat, swap };

  explicit Saboteur(Chance& chance) : chance_(chance) {}
  void order(Deed deed) { deeds_.push_back(deed); }
  void relent() { deeds_.clear(); }
  void on_frame(std::uint32_t number, std::string& bytes, std::size_t start) override;

 private:
  Chance& chance_;
  std::deque<Deed> deeds_;
  std::string held_;  // a frame that waits for the next one to overtake it
};

}  // namespace sluice::sim
