// Carries what the link says to the executor's mailbox.
#pragma once

#include "actors/lane_messages.h"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <cstdint>
#include <utility>

namespace sluice {

/// Hears one worker for its executor, which it holds weakly: the link must not keep an executor
/// alive that its supervisor has given up.
class LinkMailbox final : public WorkerListener {
 public:
  ///   worker  its number; the executor ignores messages of an earlier one
  LinkMailbox(const caf::actor& executor, std::uint64_t worker)
      : executor_(caf::actor_cast<caf::weak_actor_ptr>(executor)), worker_(worker) {}

  void on_message(wire::ToFront message) override { send(FromWorker{worker_, std::move(message)}); }
  void on_exit(WorkerExit exit) override { send(WorkerGone{worker_, std::move(exit)}); }

 private:
  template <class Message>
  void send(Message message) {
    if (auto executor = caf::actor_cast<caf::actor>(executor_))
      caf::anon_send(executor, std::move(message));
  }

  caf::weak_actor_ptr executor_;
  std::uint64_t worker_;
};

}  // namespace sluice
