// Answers of a handler, carried to the loop that owns the connection.
#include "net/rpc_call.h"

#include "net/rpc_socket.h"

#include <utility>

namespace sluice {

void RpcCallState::buffered(std::size_t bytes, bool now_starved) {
  held.store(bytes);
  starved.store(now_starved);
  report_writable();
}

void RpcCallState::report_writable() {
  if (!above.load() || starved.load() || unsent() > stream_buffer / 2) return;
  if (above.exchange(false)) client.tell_writable();
}

PostingRpcCall::~PostingRpcCall() {
  if (state_->answered.load()) return;
  finish(rpc_failure(state_->id,
                     state_->is_stream,
                     {.code = "internal_error",
                      .type = "server_error",
                      .message = "The request was dropped without an answer.",
                      .retryable = true}));
}

void PostingRpcCall::item(std::string frame) {
  state_->posted.fetch_add(frame.size());
  state_->mailbox->post([state = state_, frame = std::move(frame)]() mutable {
    state->posted.fetch_sub(frame.size());
    if (*state->connection != nullptr) (*state->connection)->item(state->id, std::move(frame));
  });
}

void PostingRpcCall::finish(std::string frame) {
  state_->answered.store(true);
  state_->mailbox->post([state = state_, frame = std::move(frame)]() mutable {
    if (*state->connection != nullptr) (*state->connection)->finish(state->id, std::move(frame));
  });
}

/// Whoever is told to pause waits for `on_writable`, so that is noted first; then it is looked at
/// again, for the loop may have looked for the note just before.
bool PostingRpcCall::keeps_up() {
  const auto keeps_up = [this] {
    return !state_->starved.load() && state_->unsent() <= state_->stream_buffer;
  };
  if (keeps_up()) return true;
  state_->above.store(true);
  return keeps_up();
}

void PostingRpcCall::on_gone(std::function<void()> gone) {
  state_->client.on_gone(std::move(gone));
}

void PostingRpcCall::on_writable(std::function<void()> writable) {
  state_->client.on_writable(std::move(writable));
  state_->report_writable();
}

}  // namespace sluice
