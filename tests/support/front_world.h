// The whole front in one thread: real actors, a fake worker behind every lane, clients that only
// listen.
#pragma once

#include "actors/application.h"
#include "actors/session.h"
#include "api/http_answer.h"
#include "api/openai.h"
#include "supervision/supervisor.h"
#include "tests/support/fake_worker.h"
#include "tests/support/virtual_time.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// The scheduler's virtual clock as the front's.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(caf::scheduler::test_coordinator& scheduler) : scheduler_(scheduler) {}
  [[nodiscard]] TimePoint now() const override { return scheduler_.clock().now(); }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  }

 private:
  caf::scheduler::test_coordinator& scheduler_;
};

/// The same numbers in every run.
class CountingRandom final : public Random {
 public:
  [[nodiscard]] std::uint64_t next() override { return mix64(++count_); }

 private:
  std::uint64_t count_ = 0;
};

/// A client that keeps what it is sent and can vanish.
class FakeExchange final : public HttpExchange {
 public:
  void respond(HttpResponse response) override {
    EXPECT_FALSE(ended) << "answered twice";
    ended = true;
    answer = std::move(response);
    if (answer.shared_body) answer.body = *answer.shared_body;
  }
  void begin_stream(HttpResponse head) override {
    EXPECT_FALSE(streaming || ended);
    streaming = true;
    answer = std::move(head);
  }
  void write(std::string piece) override {
    EXPECT_TRUE(streaming && !ended);
    answer.body += piece;
    pieces.push_back(std::move(piece));
  }
  void end_stream(std::string piece) override {
    EXPECT_TRUE(streaming && !ended);
    answer.body += piece;
    pieces.push_back(std::move(piece));
    ended = true;
  }
  void abort() override { ended = true; }
  [[nodiscard]] std::size_t unsent_bytes() const override { return unsent; }
  void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }
  void on_writable(std::function<void()> writable) override { writable_ = std::move(writable); }

  void vanish() {
    if (gone_) std::exchange(gone_, nullptr)();
  }
  void become_writable() {
    unsent = 0;
    if (writable_) writable_();
  }

  HttpResponse answer;
  std::vector<std::string> pieces;
  bool streaming = false;
  bool ended = false;
  std::size_t unsent = 0;

 private:
  std::function<void()> gone_;
  std::function<void()> writable_;
};

/// One model called "hash" on `lanes` lanes.
class FrontWorld : public VirtualTime {
 protected:
  explicit FrontWorld(std::uint32_t lanes = 1, Front::Options options = {}) {
    front = make_front(std::move(options),
                       std::make_shared<VirtualClock>(scheduler),
                       std::make_shared<CountingRandom>(),
                       launcher);
    model = std::make_shared<ServedModel>();
    model->name = "hash";
    model->card = {"hash", kHashVocabulary, kHashContext, make_byte_tokenizer()};
    add_model(*front, model, lanes, {"sluice", {}});
    root = start_tree(system, front);
    settle();
  }

  ~FrontWorld() override {
    for (const auto& client : clients)
      client->vanish();
    settle();
    caf::anon_send_exit(root, caf::exit_reason::kill);
    root = nullptr;
    settle();
    advance(std::chrono::seconds(30));
  }

  /// Time passes while the workers beat and answer golden prompts.
  void advance(Duration duration) {
    constexpr Duration kBeat = std::chrono::milliseconds(50);
    for (; duration > Duration::zero(); duration -= kBeat) {
      VirtualTime::advance(std::min(duration, kBeat));
      live();
    }
    live();
  }

  /// The workers beat and answer golden prompts until the lanes are content with them.
  void live() {
    for (int round = 0; round < 4; ++round) {
      settle();
      for (const auto& worker : launcher->alive()) {
        if (round == 0)
          worker->live();
        else if (!worker->stopped)
          worker->answer_probes();
      }
    }
    settle();
  }

  /// All workers that were started say that they are ready, pass their probes and take as much as
  /// they can. Starts are spaced and lanes ramp, so time passes.
  void bring_up() {
    advance(std::chrono::seconds(2));
    for (const auto& worker : launcher->alive()) {
      if (worker->serves()) continue;
      worker->hello();
      worker->ready();
    }
    settle();
    advance(std::chrono::milliseconds(500));
  }

  /// Sends a request; the answer comes in the client that is returned.
  ///   tenant      who asks; null: nobody who is known
  ///   dependency  null: it waits for nobody, and nobody for it
  std::shared_ptr<FakeExchange> ask(OpenAiRequest request,
                                    std::shared_ptr<const Tenant> tenant = nullptr,
                                    Dependency::Ptr dependency = nullptr) {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    request.form.id = "cmpl-" + std::to_string(clients.size());
    request.request_id = "req-" + std::to_string(clients.size());
    auto answer = answer_to(request, client);
    SessionStart start{std::move(request), {}, memory, front->clock->now(), std::move(tenant)};
    start.dependency = std::move(dependency);
    spawn_session(system, front, model, std::move(start), std::move(answer));
    settle();
    return client;
  }

  /// What a session of `request` answers `client` by.
  [[nodiscard]] std::unique_ptr<AnswerWriter> answer_to(const OpenAiRequest& request,
                                                        std::shared_ptr<HttpExchange> client) {
    AnswerForm form = request.form;
    form.logprobs = request.logprobs.has_value();
    return std::make_unique<HttpAnswer>(
        std::move(client),
        request.request_id,
        std::move(form),
        request.stream,
        HttpAnswer::Options{front->clock, front->options.keepalive, front->options.stream_buffer});
  }

  /// Every worker computes until nothing runs.
  void run_to_end() {
    for (bool busy = true; busy;) {
      busy = false;
      for (const auto& worker : launcher->alive())
        busy = worker->step() || busy;
      settle();
    }
  }

  [[nodiscard]] caf::actor peer(const std::string& role) {
    auto found = front->tree->registry().find(role);
    EXPECT_TRUE(found.has_value()) << role;
    return found ? found->handle : caf::actor();
  }

  /// Nothing is reserved, leased or running anywhere.
  void expect_idle() {
    EXPECT_EQ(front->counters.sessions, 0);
    EXPECT_EQ(front->admission.leases->size(), 0U);
    EXPECT_EQ(model->queue.leases->size(), 0U);
    EXPECT_EQ(model->batcher.leases->size(), 0U);
    for (const auto& [lane, holder] : front->executors)
      EXPECT_EQ(holder.leases->size(), 0U);
    for (const auto& worker : launcher->alive()) {
      worker->take_commands();
      EXPECT_EQ(worker->running(), 0U);
    }
  }

  std::shared_ptr<FakeLauncher> launcher = std::make_shared<FakeLauncher>();
  std::shared_ptr<Front> front;
  std::shared_ptr<ServedModel> model;
  caf::actor root;
  std::vector<std::shared_ptr<FakeExchange>> clients;
  std::shared_ptr<BodyShare> memory;  ///< of the next request
};

inline OpenAiRequest completion(std::string prompt, std::uint32_t max_tokens) {
  OpenAiRequest request;
  request.prompts = {std::move(prompt)};
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

/// What the hash model says after a prompt.
inline std::string hash_text(const std::string& prompt, std::size_t tokens) {
  HashChain chain;
  for (unsigned char byte : prompt)
    chain.push(byte);
  auto tokenizer = make_byte_tokenizer();
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < tokens; ++i)
    ids.push_back(chain.advance());
  return tokenizer->decode(ids, true);
}

}  // namespace sluice::testing
