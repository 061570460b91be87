// Clients that know what they must be given.
#pragma once

#include "api/openai.h"
#include "net/http.h"
#include "tests/sim/environment.h"
#include "tests/sim/reference.h"
#include "trace/event.h"

#include <boost/json.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::sim {

/// What a client asks and how it behaves.
struct ClientPlan {
  std::uint64_t number = 0;
  std::uint32_t model = 0;                   ///< which of the world's
  std::optional<std::uint32_t> tenant = {};  ///< which of the world's; none: nobody's
  OpenAiRequest request;
  TimePoint arrival;
  std::optional<Duration> vanishes_after;
  std::size_t bytes_per_second = 0;  ///< it reads so slowly; 0: at once
  std::size_t rests_after = 0;       ///< having read so many bytes it reads nothing for a while
  Duration rests_for = Duration::zero();
  std::uint32_t retries = 0;         ///< how often it asks again, at once, when it is refused
  std::vector<std::uint64_t> after;  ///< numbers of clients whose requests its own waits for
  bool poison = false;
  bool convicted = false;   ///< it was convicted when it asked before
  bool asks_again = false;  ///< it has asked before
};

/// One request's client. It notes what it reads in the trace, compares all of it with the
/// undisturbed run, and complains about whatever no client may see.
class SimClient final : public HttpExchange {
 public:
  enum class End : std::uint8_t { none, completed, cut, failed, vanished };
  struct Ports {
    Environment& environment;
    trace::Sink& sink;
    std::function<std::uint64_t()> next_number;   ///< of the next sequence of the front
    std::function<void(const SimClient&)> begun;  ///< it has its number
    std::function<void(std::string)> complain;
    std::function<void(const SimClient&)> refused;  ///< with 429 or 503, or as poison
    std::size_t stream_buffer = 0;
  };

  SimClient(ClientPlan plan, std::shared_ptr<Expectations> expectations, Ports ports);

  void respond(HttpResponse response) override;
  void begin_stream(HttpResponse head) override;
  void write(std::string piece) override;
  void end_stream(std::string piece) override;
  void abort() override;
  [[nodiscard]] std::size_t unsent_bytes() const override { return unsent_; }
  void on_gone(std::function<void()> gone) override;
  void on_writable(std::function<void()> writable) override { writable_ = std::move(writable); }

  void vanish();
  /// From now on it reads at once.
  void hurry();

  [[nodiscard]] const ClientPlan& plan() const { return plan_; }
  [[nodiscard]] const std::shared_ptr<Expectations>& expected() const { return expectations_; }
  /// None: its session has not begun.
  [[nodiscard]] std::optional<RequestNumber> number() const { return number_; }
  [[nodiscard]] End end() const { return end_; }
  [[nodiscard]] bool over() const { return end_ != End::none; }
  /// More waits for it than a stream's buffer holds.
  [[nodiscard]] bool behind() const { return unsent_ > ports_.stream_buffer && !over(); }
  /// How often it has fallen behind.
  [[nodiscard]] std::uint32_t pauses() const { return pauses_; }
  /// Of a failed one: the error's code and the status.
  [[nodiscard]] const std::string& code() const { return code_; }
  [[nodiscard]] int status() const { return status_; }
  /// It was told that the weights of its answer are there no more.
  [[nodiscard]] bool ended_with_its_weights() const { return ended_with_its_weights_; }
  [[nodiscard]] TimePoint asked_at() const { return asked_at_; }
  /// When it was answered.
  [[nodiscard]] TimePoint ended_at() const { return ended_at_; }
  [[nodiscard]] std::string name() const { return "client " + std::to_string(plan_.number); }

 private:
  void take(const std::string& bytes);
  void take_event(std::string_view event);
  void take_fingerprint(const boost::json::object& piece);
  void take_choice(const boost::json::object& choice);
  void finish_choice(const boost::json::object& choice);
  void fail(const boost::json::object& error);
  void note_error(const boost::json::object& error);
  void close();
  void pour(std::size_t bytes);
  void drain();
  void complain(const std::string& what) { ports_.complain(name() + " " + what); }

  ClientPlan plan_;
  std::shared_ptr<Expectations> expectations_;
  const Expected* expected_;  ///< of the weights that answer, once they are known
  std::string fingerprint_;   ///< of those weights
  Ports ports_;
  std::optional<RequestNumber> number_;
  End end_ = End::none;
  std::string code_;
  int status_ = 0;
  bool ended_with_its_weights_ = false;
  TimePoint asked_at_;
  TimePoint ended_at_;
  bool streaming_ = false;
  bool done_ = false;  ///< [DONE] was read
  bool hurried_ = false;
  bool draining_ = false;
  bool paused_ = false;
  std::string pending_;                                   ///< a part of an event
  std::map<std::uint32_t, boost::json::object> choices_;  ///< what was read of each
  std::size_t finished_ = 0;
  bool cut_ = false;  ///< a choice ended at the deadline with what there was
  std::size_t unsent_ = 0;
  std::uint32_t pauses_ = 0;
  std::size_t taken_ = 0;  ///< since it last rested
  std::function<void()> gone_;
  std::function<void()> writable_;
};

}  // namespace sluice::sim
