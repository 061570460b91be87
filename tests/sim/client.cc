#include "tests/sim/client.h"

#include "tests/sim/coverage.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::sim {

using namespace std::chrono_literals;
namespace json = boost::json;

SimClient::SimClient(ClientPlan plan, std::shared_ptr<Expectations> expectations, Ports ports)
    : plan_(std::move(plan)),
      expectations_(std::move(expectations)),
      expected_(&expectations_->of(0)),
      ports_(std::move(ports)),
      asked_at_(ports_.environment.now()) {}

// --- what the session calls ----------------------------------------------------------------------

void SimClient::on_gone(std::function<void()> gone) {
  // The session asks for this when it has just taken numbers for its sequences.
  number_ = RequestNumber{ports_.next_number() - expected_->tokens.size()};
  ports_.begun(*this);
  gone_ = std::move(gone);
}

void SimClient::respond(HttpResponse response) {
  if (end_ == End::vanished) return;
  if (over() || streaming_) return complain("is answered twice");
  status_ = response.status;
  auto body = json::parse(response.content()).as_object();
  if (response.status != 200) return fail(body.at("error").as_object());
  take_fingerprint(body);
  for (const json::value& choice : body.at("choices").as_array())
    take_choice(as_text_choice(choice.as_object()));
  if (!cut_ && body.at("usage").as_object().at("completion_tokens").to_number<std::uint64_t>() !=
                   expected_->completion_tokens)
    complain("is told of a wrong number of tokens: " + json::serialize(body.at("usage")));
  bool told = body.at("usage").as_object().contains("degraded");
  bool labelled = std::any_of(response.headers.begin(),
                              response.headers.end(),
                              [](const auto& field) { return field.first == "x-sluice-degraded"; });
  if (told != labelled) complain("is told of a degraded answer in one place and not in the other");
  if (told) mark(Mark::answer_degraded);
  done_ = true;
  close();
}

void SimClient::begin_stream(HttpResponse head) {
  if (end_ == End::vanished) return;
  if (over() || streaming_) return complain("is given a second stream");
  streaming_ = true;
  status_ = head.status;
  if (head.status != 200) complain("is given a stream of status " + std::to_string(head.status));
}

void SimClient::write(std::string piece) {
  if (end_ == End::vanished) return;
  if (over() || !streaming_) return complain("is sent a piece without a stream");
  take(piece);
  pour(piece.size());
}

void SimClient::end_stream(std::string piece) {
  if (end_ == End::vanished) return;
  if (over() || !streaming_) return complain("is sent the end of no stream");
  take(piece);
  close();
}

void SimClient::abort() {
  if (over()) return;
  complain("is cut off");
  close();
}

// --- what it reads -------------------------------------------------------------------------------

void SimClient::take(const std::string& bytes) {
  pending_ += bytes;
  for (;;) {
    std::size_t end = pending_.find("\n\n");
    if (end == std::string::npos) return;
    take_event(std::string_view(pending_).substr(0, end));
    pending_.erase(0, end + 2);
  }
}

void SimClient::take_event(std::string_view event) {
  if (done_) return complain("reads on after [DONE]: " + std::string(event));
  if (event.starts_with(":")) return;
  if (!event.starts_with("data: ")) return complain("cannot read the event " + std::string(event));
  event.remove_prefix(6);
  if (event == "[DONE]") {
    done_ = true;
    return;
  }
  if (!code_.empty()) return complain("reads on after an error: " + std::string(event));
  auto chunk = json::parse(json::string_view(event.data(), event.size())).as_object();
  if (auto* error = chunk.if_contains("error")) {
    note_error(error->as_object());
    return;
  }
  take_fingerprint(chunk);
  for (const json::value& choice : chunk.at("choices").as_array())
    take_choice(as_text_choice(choice.as_object()));
  if (auto* usage = chunk.if_contains("usage"); usage && usage->is_object() && !cut_) {
    bool last = chunk.at("choices").as_array().empty();
    auto count = usage->as_object().at("completion_tokens").to_number<std::uint64_t>();
    if (last && count != expected_->completion_tokens)
      complain("is told of a wrong number of tokens: " + json::serialize(*usage));
  }
}

/// The answer says which weights it comes from: that decides what it has to be.
void SimClient::take_fingerprint(const json::object& piece) {
  std::string said = piece.at("system_fingerprint").as_string().c_str();
  if (fingerprint_.empty()) {
    fingerprint_ = said;
    if (const Expected* expected = expectations_->of_text(said))
      expected_ = expected;
    else
      complain("is answered by unknown weights, " + said);
  } else if (said != fingerprint_) {
    complain("is answered by " + said + " after " + fingerprint_);
  }
}

/// Adds a piece to what was read of its choice before.
void SimClient::take_choice(const json::object& choice) {
  auto index = choice.at("index").to_number<std::uint32_t>();
  auto [entry, is_new] = choices_.try_emplace(index, choice);
  json::object& whole = entry->second;
  if (!is_new) {
    json::string& text = whole.at("text").as_string();
    text.append(choice.at("text").as_string());
    if (auto* logprobs = choice.at("logprobs").if_object()) {
      if (!whole.at("logprobs").is_object()) {
        whole["logprobs"] = *logprobs;
      } else {
        for (const auto& [key, values] : *logprobs) {
          auto& all = whole.at("logprobs").as_object()[key].as_array();
          for (const json::value& value : values.as_array())
            all.push_back(value);
        }
      }
    }
    for (const char* key : {"finish_reason", "stop_reason"})
      if (auto* value = choice.if_contains(key)) whole[key] = *value;
  }
  bool finished = choice.at("finish_reason").is_string();
  auto* stop = choice.if_contains("stop_reason");
  bool cut = finished && stop && stop->is_string() && stop->as_string() == "deadline" &&
             plan_.request.partial_ok;
  if (number_)
    ports_.sink.record(
        {ports_.environment.now(),
         trace::Read{
             *number_, index, std::string(choice.at("text").as_string()), finished && !cut}});
  cut_ = cut_ || cut;
  if (!finished) return;
  ++finished_;
  if (!cut) finish_choice(whole);
}

void SimClient::finish_choice(const json::object& choice) {
  auto index = choice.at("index").to_number<std::size_t>();
  if (index >= expected_->choices.size())
    return complain("is given a choice that it has not asked for: " + json::serialize(choice));
  const json::value& expected = expected_->choices[index];
  if (choice != expected.as_object())
    complain("reads " + json::serialize(choice) + ", the undisturbed run gives " +
             json::serialize(expected));
}

void SimClient::fail(const json::object& error) {
  note_error(error);
  done_ = true;
  close();
}

void SimClient::note_error(const json::object& error) {
  code_ = error.at("code").as_string().c_str();
  if (error.at("message").as_string().find("weights were replaced") != json::string::npos) {
    mark(Mark::ended_with_its_weights);
    ended_with_its_weights_ = true;
  }
}

void SimClient::close() {
  if (!done_) complain("finds no [DONE] at the end of its stream");
  if (!pending_.empty()) complain("is left with half an event: " + pending_);
  bool whole = finished_ == expected_->choices.size();
  if (code_.empty() && !whole)
    complain("is given " + std::to_string(finished_) + " choices of " +
             std::to_string(expected_->choices.size()));
  end_ = !code_.empty() ? End::failed : cut_ ? End::cut : End::completed;
  ended_at_ = ports_.environment.now();
  gone_ = nullptr;
  writable_ = nullptr;
  if (status_ == 429 || status_ == 503 || code_ == "poison_request") ports_.refused(*this);
}

// --- how it behaves ------------------------------------------------------------------------------

void SimClient::vanish() {
  if (over()) return;
  end_ = End::vanished;
  writable_ = nullptr;
  if (auto gone = std::exchange(gone_, nullptr)) gone();
}

void SimClient::pour(std::size_t bytes) {
  if (plan_.bytes_per_second == 0 || hurried_) return;
  unsent_ += bytes;
  if (unsent_ > ports_.stream_buffer) {
    if (!paused_) {
      ++pauses_;
      mark(Mark::stream_paused);
      mark(Fault::slow_reader);
    }
    paused_ = true;
  }
  drain();
}

/// Its socket takes some bytes every 50 ms.
void SimClient::drain() {
  if (draining_ || unsent_ == 0) return;
  draining_ = true;
  Duration wait = 50ms;
  if (plan_.rests_after > 0 && taken_ >= plan_.rests_after && !hurried_) {
    taken_ = 0;
    wait += plan_.rests_for;
  }
  ports_.environment.after(wait, Source::client, [this] {
    draining_ = false;
    std::size_t taken = hurried_ ? unsent_ : plan_.bytes_per_second / 20;
    taken = std::min(unsent_, std::max<std::size_t>(1, taken));
    unsent_ -= taken;
    taken_ += taken;
    if (paused_ && unsent_ < ports_.stream_buffer / 2) {
      paused_ = false;
      if (writable_) writable_();
    }
    drain();
  });
}

void SimClient::hurry() {
  hurried_ = true;
  drain();
}

}  // namespace sluice::sim
