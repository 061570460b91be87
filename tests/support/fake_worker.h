// Workers without processes: the test decides when they become ready, compute a token, or die.
#pragma once

#include "models/hash/hash_chain.h"
#include "worker/link.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::testing {

/// One worker's end. Its arithmetic is the `hash` model's, so every token it should send is known.
class FakeWorker {
 public:
  FakeWorker(std::int64_t pid, std::shared_ptr<WorkerListener> listener)
      : pid_(pid), listener_(std::move(listener)) {}

  void hello() { say(wire::Hello{wire::kProtocolVersion, pid_, "test"}); }
  void ready(std::uint32_t slots = 8, std::uint32_t blocks = 1024) {
    wire::Ready ready;
    ready.slots = slots;
    ready.blocks = blocks;
    ready.block_tokens = 16;
    ready.fingerprint = 42;
    ready.level = "test";
    ready.vocabulary = kHashVocabulary;
    ready.context = kHashContext;
    say(std::move(ready));
  }

  /// Takes what the front has sent, then computes one token for every sequence. False: nothing ran.
  bool step() {
    take_commands();
    wire::Tokens tokens;
    for (Sequence& sequence : sequences_)
      tokens.outputs.push_back(advance(sequence));
    std::erase_if(sequences_, [](const Sequence& sequence) { return sequence.finished; });
    if (tokens.outputs.empty()) return false;
    if (before_send) before_send(tokens);
    say(std::move(tokens));
    return true;
  }

  /// The process dies, as the pidfd would tell.
  void die(const std::string& why = "killed by signal 9") {
    if (std::exchange(dead_, true)) return;
    sequences_.clear();
    if (listener_) listener_->on_exit({0, 9, why});
  }

  void say(wire::ToFront message) {
    if (!dead_ && listener_) listener_->on_message(std::move(message));
  }

  void take_commands() {
    for (wire::ToWorker& command : std::exchange(inbox, {})) {
      if (auto* start = std::get_if<wire::Start>(&command)) {
        starts.push_back(*start);
        Sequence sequence{std::move(*start), {}, false};
        for (TokenId token : sequence.start.plan.prompt)
          sequence.chain.push(token);
        for (TokenId token : sequence.start.emitted)
          sequence.chain.push(token);
        std::erase_if(sequences_,
                      [&](const Sequence& old) { return old.start.id == sequence.start.id; });
        sequences_.push_back(std::move(sequence));
      } else if (auto* cancel = std::get_if<wire::Cancel>(&command)) {
        cancels.push_back(*cancel);
        std::erase_if(sequences_, [&](const Sequence& sequence) {
          return sequence.start.id == cancel->id && sequence.start.epoch <= cancel->epoch;
        });
      }
    }
  }

  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] std::size_t running() const { return sequences_.size(); }
  /// The link was destroyed or killed: nothing is heard any more.
  void silence() {
    dead_ = true;
    listener_.reset();
    sequences_.clear();
  }

  std::vector<wire::ToWorker> inbox;  ///< what the front has sent and the worker not read
  std::vector<wire::Start> starts;    ///< all that were read
  std::vector<wire::Cancel> cancels;
  std::function<void(wire::Tokens&)> before_send;  ///< may change what leaves

 private:
  struct Sequence {
    wire::Start start;
    HashChain chain;
    bool finished = false;
  };

  static SequenceOutput advance(Sequence& sequence) {
    const Plan& plan = sequence.start.plan;
    SequenceOutput output;
    output.id = sequence.start.id;
    output.epoch = sequence.start.epoch;
    output.first_index = static_cast<std::uint32_t>(sequence.start.emitted.size());
    if (output.first_index < plan.max_tokens) {
      TokenId token = sequence.chain.advance();
      sequence.start.emitted.push_back(token);
      output.tokens = {token};
      if (plan.logprobs) output.logprobs.resize(1);
      if (std::binary_search(plan.stop_tokens.begin(), plan.stop_tokens.end(), token))
        output.finish = Finish::stop_token;
    }
    if (output.finish == Finish::none && sequence.start.emitted.size() >= plan.max_tokens)
      output.finish = Finish::length;
    sequence.finished = output.finish != Finish::none;
    return output;
  }

  std::int64_t pid_;
  std::shared_ptr<WorkerListener> listener_;
  std::vector<Sequence> sequences_;
  bool dead_ = false;
};

/// Hands out fake workers and keeps them all for inspection.
class FakeLauncher final : public WorkerLauncher {
 public:
  Result<std::unique_ptr<WorkerLink>> launch(const WorkerSpec&,
                                             std::shared_ptr<WorkerListener> listener) override {
    if (failures > 0) {
      --failures;
      return Error{ErrorCode::unavailable, "cannot start: no processes left"};
    }
    auto worker = std::make_shared<FakeWorker>(static_cast<std::int64_t>(1000 + workers.size()),
                                               std::move(listener));
    workers.push_back(worker);
    return std::unique_ptr<WorkerLink>(std::make_unique<Link>(worker));
  }

  /// Those that live, oldest first.
  [[nodiscard]] std::vector<std::shared_ptr<FakeWorker>> alive() const {
    std::vector<std::shared_ptr<FakeWorker>> result;
    for (const auto& worker : workers) {
      if (!worker->dead()) result.push_back(worker);
    }
    return result;
  }

  std::vector<std::shared_ptr<FakeWorker>> workers;
  int failures = 0;  ///< how many of the next launches fail

 private:
  class Link final : public WorkerLink {
   public:
    explicit Link(std::shared_ptr<FakeWorker> worker) : worker_(std::move(worker)) {}
    ~Link() override { worker_->silence(); }
    void send(wire::ToWorker message) override {
      if (!worker_->dead()) worker_->inbox.push_back(std::move(message));
    }
    void kill() override { worker_->die("killed by the executor"); }
    [[nodiscard]] std::int64_t pid() const override { return 1; }
    [[nodiscard]] std::size_t backlog_bytes() const override { return 0; }

   private:
    std::shared_ptr<FakeWorker> worker_;
  };
};

}  // namespace sluice::testing
