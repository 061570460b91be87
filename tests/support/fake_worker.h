// Workers without processes: the test decides when they become ready, compute a token, or die.
#pragma once

#include "models/hash/hash_chain.h"
#include "worker/golden.h"
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
    ready.step_rows = step_rows;
    ready.fingerprint = weights;
    ready.files = files;
    ready.level = "test";
    ready.vocabulary = vocabulary;
    ready.context = kHashContext;
    ready.tokenizer = tokenizer;
    golden_ = golden_plan(kHashVocabulary, kHashContext, static_cast<std::int32_t>(blocks));
    ready.golden = golden_hash(golden_tokens());
    serves_ = true;
    blocks_free = blocks;
    say(std::move(ready));
  }

  /// What its heartbeat thread does every 50 ms, and what its engine does with golden prompts.
  void live() {
    if (!serves_ || stopped) return;
    wire::Heartbeat beat;
    // A real one would have taken what the test has not made it read yet.
    auto holds = [this](SequenceId id) {
      return std::none_of(inbox.begin(), inbox.end(), [id](const wire::ToWorker& command) {
        auto* cancel = std::get_if<wire::Cancel>(&command);
        return cancel && cancel->id == id;
      });
    };
    beat.running = keeps;
    for (const Sequence& sequence : sequences_)
      if (holds(sequence.start.id)) (is_paused(sequence) ? beat.paused : beat.running) += 1;
    for (const wire::Start& probe : probes)
      if (holds(probe.id)) beat.running += 1;
    for (const wire::ToWorker& command : inbox)
      if (auto* start = std::get_if<wire::Start>(&command); start && holds(start->id))
        beat.running += 1;
    beat.step_age_ms = step_age_ms;
    beat.step_rows = step_age_ms > 0 ? 1 : 0;
    beat.blocks_free = blocks_free;
    beat.descriptors = descriptors;
    beat.threads = threads;
    beat.commands = sent - unheard;
    say(beat);
    answer_probes();
  }

  /// Answers golden prompts as soon as they are there, so that tests need not step them. What else
  /// the front has sent stays unread.
  void answer_probes() {
    std::erase_if(inbox, [&](const wire::ToWorker& command) {
      auto* start = std::get_if<wire::Start>(&command);
      if (!start || start->plan.prompt != golden_.prompt || start->plan.sampling.temperature != 0)
        return false;
      probes.push_back(*start);
      return true;
    });
    if (!answers_probes) return;
    for (const wire::Start& probe : std::exchange(probes, {})) {
      SequenceOutput output;
      output.id = probe.id;
      output.epoch = probe.epoch;
      output.tokens = golden_tokens();
      if (computes_wrong) output.tokens.back() ^= 1;
      output.finish = Finish::length;
      wire::Tokens tokens;
      tokens.outputs.push_back(std::move(output));
      say(std::move(tokens));
    }
  }

  /// Takes what the front has sent, then computes one token for every sequence that was granted
  /// one. False: nothing ran.
  bool step() {
    take_commands();
    wire::Tokens tokens;
    for (Sequence& sequence : sequences_)
      if (sequence.start.emitted.size() < sequence.start.granted)
        tokens.outputs.push_back(advance(sequence));
    tokens_given += tokens.outputs.size();
    std::erase_if(sequences_, [](const Sequence& sequence) { return sequence.finished; });
    if (tokens.outputs.empty()) return false;
    if (before_send) before_send(tokens);
    say(std::move(tokens));
    return true;
  }

  /// The process dies, as the pidfd would tell. Signal 9 is somebody else's doing, any other reason
  /// is its own.
  void die(const std::string& why = "killed by signal 9") {
    WorkerExit exit{0, 9, why};
    exit.outside = why == "killed by signal 9";
    end(std::move(exit));
  }
  void end(WorkerExit exit) {
    if (std::exchange(dead_, true)) return;
    sequences_.clear();
    if (listener_) listener_->on_exit(std::move(exit));
  }

  /// Whether it runs a sequence for which `is_it` holds.
  [[nodiscard]] bool runs(const std::function<bool(const wire::Start&)>& is_it) const {
    return std::any_of(sequences_.begin(), sequences_.end(), [&](const Sequence& sequence) {
      return is_it(sequence.start);
    });
  }
  /// Computes no further token for a sequence.
  void forget(SequenceId id) {
    std::erase_if(sequences_, [id](const Sequence& sequence) { return sequence.start.id == id; });
  }

  void say(wire::ToFront message) {
    if (!dead_ && listener_) listener_->on_message(std::move(message));
  }

  void take_commands() {
    answer_probes();
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
      } else if (auto* grant = std::get_if<wire::Grant>(&command)) {
        for (Sequence& sequence : sequences_)
          if (sequence.start.id == grant->id && sequence.start.epoch == grant->epoch)
            sequence.start.granted = std::max(sequence.start.granted, grant->granted);
      } else if (auto* cancel = std::get_if<wire::Cancel>(&command)) {
        cancels.push_back(*cancel);
        std::erase_if(sequences_, [&](const Sequence& sequence) {
          return sequence.start.id == cancel->id && sequence.start.epoch <= cancel->epoch;
        });
      }
    }
  }

  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] bool serves() const { return serves_; }
  [[nodiscard]] std::size_t running() const { return sequences_.size(); }
  /// Those of them that have given all they were granted.
  [[nodiscard]] std::size_t paused() const {
    return static_cast<std::size_t>(std::count_if(sequences_.begin(), sequences_.end(), is_paused));
  }
  /// True if it runs a sequence of which `which` is true.
  template <class Which>
  [[nodiscard]] bool runs(Which which) const {
    return std::any_of(sequences_.begin(), sequences_.end(), [&](const Sequence& sequence) {
      return which(sequence.start);
    });
  }
  /// The link was destroyed or killed: nothing is heard any more.
  void silence() {
    dead_ = true;
    listener_.reset();
    sequences_.clear();
  }

  std::uint64_t weights = 42;  ///< their fingerprint, as it tells it when it is ready
  std::int32_t vocabulary = kHashVocabulary;
  std::uint32_t step_rows = 0;  ///< of a step at most, as it tells them when it is ready
  std::uint64_t tokenizer = 0;
  std::vector<FileDigest> files;
  std::vector<wire::ToWorker> inbox;  ///< what the front has sent and the worker not read
  std::uint64_t sent = 0;             ///< commands of the front
  std::uint64_t unheard = 0;          ///< of those, as its heartbeat tells them, not carried out
  std::vector<wire::Start> starts;    ///< all that were read, but for golden prompts
  std::vector<wire::Start> probes;    ///< golden prompts that wait for an answer
  bool answers_probes = true;
  bool computes_wrong = false;    ///< one bit of what the golden prompt gives
  bool stopped = false;           ///< as SIGSTOP does: neither heartbeats nor answers
  bool unkillable = false;        ///< as one that sits in the kernel
  std::size_t unread_bytes = 0;   ///< as its link tells them
  std::size_t tokens_given = 0;   ///< by all sequences together
  std::int64_t step_age_ms = 0;   ///< as its heartbeat tells it
  std::uint32_t blocks_free = 0;  ///< as its heartbeat tells them
  std::uint32_t descriptors = 0;  ///< likewise
  std::uint32_t threads = 0;
  std::uint32_t keeps = 0;  ///< sequences that were taken from it
  std::vector<wire::Cancel> cancels;
  std::function<void(wire::Tokens&)> before_send;  ///< may change what leaves

 private:
  struct Sequence {
    wire::Start start;
    HashChain chain;
    bool finished = false;
  };

  static bool is_paused(const Sequence& sequence) {
    return sequence.start.emitted.size() >= sequence.start.granted;
  }
  [[nodiscard]] std::vector<TokenId> golden_tokens() const {
    HashChain chain;
    for (TokenId token : golden_.prompt)
      chain.push(token);
    std::vector<TokenId> tokens;
    for (std::uint32_t i = 0; i < golden_.max_tokens; ++i)
      tokens.push_back(chain.advance());
    return tokens;
  }

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
  Plan golden_;
  bool serves_ = false;
  bool dead_ = false;
};

/// Hands out fake workers and keeps them all for inspection.
class FakeLauncher final : public WorkerLauncher {
 public:
  Result<std::unique_ptr<WorkerLink>> launch(const WorkerSpec& spec,
                                             std::shared_ptr<WorkerListener> listener) override {
    last_spec = spec;
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
  WorkerSpec last_spec;

 private:
  class Link final : public WorkerLink {
   public:
    explicit Link(std::shared_ptr<FakeWorker> worker) : worker_(std::move(worker)) {}
    ~Link() override { worker_->silence(); }
    void send(wire::ToWorker message) override {
      if (worker_->dead()) return;
      worker_->sent += 1;
      worker_->inbox.push_back(std::move(message));
    }
    void kill() override {
      if (!worker_->unkillable) worker_->die("killed by the executor");
    }
    [[nodiscard]] bool is_stopped() const override { return worker_->stopped; }
    [[nodiscard]] std::int64_t pid() const override { return 1; }
    [[nodiscard]] std::size_t backlog_bytes() const override { return worker_->unread_bytes; }

   private:
    std::shared_ptr<FakeWorker> worker_;
  };
};

}  // namespace sluice::testing
