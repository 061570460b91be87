// An answer over Sluice RPC: a stream of ITEMs, or one RESPONSE.
#pragma once

#include "api/answer_format.h"
#include "api/answer_writer.h"
#include "api/rpc_format.h"
#include "net/rpc.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// Writes to one call.
class RpcAnswer final : public AnswerWriter {
 public:
  /// Whether it is a stream says the call.
  RpcAnswer(std::shared_ptr<RpcCall> call, std::string request_id, AnswerForm form);

  void degraded(const Degradation& degradation) override;
  void head(std::string_view model, std::string_view fingerprint) override;
  void delta(ChoiceDelta& piece, const Usage& so_far, bool last) override;
  void done(const Usage& total) override;
  void error(const ApiError& error) override;
  void abandon() override { ended_ = true; }
  [[nodiscard]] bool ended() const override { return ended_; }
  [[nodiscard]] bool keeps_up() const override { return waiting_.empty(); }
  void flush() override;
  void attend(TimePoint, TimePoint) override {}  // the connection has PING
  void on_gone(std::function<void()> gone) override { call_->on_gone(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    call_->on_writable(std::move(writable));
  }

 private:
  [[nodiscard]] RpcAbout about() const;
  void send_waiting();

  std::shared_ptr<RpcCall> call_;
  std::string request_id_;
  AnswerForm form_;
  RpcAuthor author_;
  std::string degraded_;
  std::uint32_t next_item_ = 0;
  std::deque<std::string> waiting_;  // ITEMs, while the client does not keep up
  std::vector<ChoiceDelta> whole_;   // the choices so far, if there is one answer
  bool ended_ = false;
};

}  // namespace sluice
