// Hands of a test in who computes what: orders of claims that are rare or never happen by
// themselves.
#pragma once

#include "base/philox.h"
#include "kernels/cpu/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {

/// Lets claims happen in an order that a rule decides. All threads take part in every piece.
class OrderedClaims : public ThreadPool::Director {
 public:
  /// Whether `worker` may claim, who claimed last (none yet: `kNobody`), and whether anything is
  /// left; once nothing is, everybody may.
  using Rule = std::function<bool(std::uint32_t worker, std::uint32_t last)>;
  static constexpr std::uint32_t kNobody = 0xFFFFFFFF;

  OrderedClaims(std::uint32_t threads, Rule rule) : threads_(threads), rule_(std::move(rule)) {}

  std::uint32_t begin(std::uint32_t units) override {
    std::lock_guard guard(mutex_);
    left_ = units;
    last_ = kNobody;
    return threads_;
  }
  void before_claim(std::uint32_t worker) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return left_ == 0 || rule_(worker, last_); });
  }
  void claimed(std::uint32_t worker, Units units) override {
    {
      std::lock_guard guard(mutex_);
      left_ -= units.count();
      last_ = worker;
    }
    changed_.notify_all();
  }

 private:
  std::uint32_t threads_;
  Rule rule_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t left_ = 0;
  std::uint32_t last_ = kNobody;
};

/// Threads come and go from piece to piece, and hesitate before they claim, both by a seed.
class RandomClaims : public ThreadPool::Director {
 public:
  RandomClaims(std::uint32_t threads, std::uint64_t seed) : threads_(threads), seed_(seed) {}

  std::uint32_t begin(std::uint32_t /*units*/) override {
    return 1 + philox(seed_, pieces_++)[0] % threads_;
  }
  void before_claim(std::uint32_t worker) override {
    std::uint64_t turn = claims_.fetch_add(1, std::memory_order_relaxed);
    for (std::uint32_t i = philox(seed_ + 1 + worker, turn)[0] % 4; i > 0; --i)
      std::this_thread::yield();
  }
  void claimed(std::uint32_t /*worker*/, Units /*units*/) override {}

 private:
  std::uint32_t threads_;
  std::uint64_t seed_;
  std::uint64_t pieces_ = 0;
  std::atomic<std::uint64_t> claims_{0};
};

/// An order of claims with its name.
struct ClaimOrder {
  std::string name;
  std::uint32_t threads;
  std::unique_ptr<ThreadPool::Director> director;
};

/// The adverse ones.
inline std::vector<ClaimOrder> claim_orders() {
  std::vector<ClaimOrder> orders;
  auto add = [&](const char* name, std::uint32_t threads, OrderedClaims::Rule rule) {
    orders.push_back({name, threads, std::make_unique<OrderedClaims>(threads, std::move(rule))});
  };
  add("the caller does everything", 3, [](auto worker, auto) { return worker == 0; });
  add("the caller does nothing", 3, [](auto worker, auto) { return worker != 0; });
  add("the last thread does everything", 3, [](auto worker, auto) { return worker == 2; });
  add("two take turns, the other one first", 2, [](auto worker, auto last) {
    return last == OrderedClaims::kNobody ? worker == 1 : worker != last;
  });
  add("three in a circle, backwards", 3, [](auto worker, auto last) {
    return worker == (last == OrderedClaims::kNobody ? 2 : (last + 2) % 3);
  });
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    orders.push_back({"threads come and go, seed " + std::to_string(seed),
                      4,
                      std::make_unique<RandomClaims>(4, seed)});
  return orders;
}

}  // namespace sluice
