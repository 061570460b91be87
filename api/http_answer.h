// An answer over HTTP: a stream of events or one body.
#pragma once

#include "api/answer_format.h"
#include "api/answer_writer.h"
#include "api/caller.h"
#include "base/clock.h"
#include "net/http.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// How an answer was degraded, as x-sluice-degraded says it.
[[nodiscard]] std::string degraded_text(const Degradation& degradation);
/// Adds a piece to the choice that it belongs to; its strings are taken.
void add_piece(std::vector<ChoiceDelta>& choices, ChoiceDelta& piece);

/// Writes to one exchange, in OpenAI's forms.
class HttpAnswer final : public AnswerWriter {
 public:
  using Options = AnswerOptions;

  ///   stream  events as pieces come; otherwise one body at the end
  HttpAnswer(std::shared_ptr<HttpExchange> exchange,
             std::string request_id,
             AnswerForm form,
             bool stream,
             Options options);

  void degraded(const Degradation& degradation) override;
  void head(std::string_view model, std::string_view fingerprint) override;
  void delta(ChoiceDelta& piece, const Usage& so_far, bool last) override;
  void done(const Usage& total) override;
  void error(const ApiError& error) override;
  void abandon() override { ended_ = true; }
  [[nodiscard]] bool ended() const override { return ended_; }
  [[nodiscard]] bool keeps_up() const override { return unsent_.empty(); }
  void flush() override;
  void attend(TimePoint now, TimePoint since) override;
  void on_gone(std::function<void()> gone) override { exchange_->on_gone(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    exchange_->on_writable(std::move(writable));
  }

 private:
  void open_stream();
  void label(HttpResponse& response) const;
  void write();

  std::shared_ptr<HttpExchange> exchange_;
  std::string request_id_;
  AnswerForm form_;
  bool stream_;
  Options options_;
  std::unique_ptr<AnswerFormat> format_;  // set with the head: it names the weights
  std::string degraded_;                  // value of x-sluice-degraded, or empty
  bool streaming_ = false;                // the head of the stream is out
  std::string unsent_;                    // events that wait for the socket
  std::vector<ChoiceDelta> whole_;        // the choices so far, if the answer is one body
  TimePoint last_write_{};
  bool ended_ = false;
};

}  // namespace sluice
