// Calls of a handler, carried to the loop that owns the connection.
#include "net/http_exchange.h"

#include "net/http_connection.h"

#include <utility>

namespace sluice {

void ExchangeState::report_writable() {
  if (!above.load() || unsent() > stream_buffer / 2) return;
  if (above.exchange(false)) client.tell_writable();
}

PostingExchange::~PostingExchange() {
  if (state_->answered.load()) return;
  state_->mailbox->post([state = std::move(state_)] {
    if (state->connection != nullptr) state->connection->abort();
  });
}

void PostingExchange::respond(HttpResponse response) {
  state_->answered.store(true);
  state_->mailbox->post([state = state_, response = std::move(response)]() mutable {
    if (state->connection != nullptr) state->connection->respond(std::move(response));
  });
}

void PostingExchange::begin_stream(HttpResponse head) {
  state_->mailbox->post([state = state_, head = std::move(head)]() mutable {
    if (state->connection != nullptr) state->connection->begin_stream(std::move(head));
  });
}

void PostingExchange::write(std::string piece) {
  post_piece(std::move(piece), false);
}

void PostingExchange::end_stream(std::string piece) {
  state_->answered.store(true);
  post_piece(std::move(piece), true);
}

void PostingExchange::post_piece(std::string piece, bool last) {
  state_->posted.fetch_add(piece.size());
  state_->mailbox->post([state = state_, piece = std::move(piece), last] {
    state->posted.fetch_sub(piece.size());
    if (state->connection == nullptr) return;
    last ? state->connection->end_stream(piece) : state->connection->write_piece(piece);
  });
}

/// Whoever is told more than the buffer will pause until `on_writable`, so that is noted first;
/// then it is counted again, for the loop may have looked for the note just before. A sum that is
/// short, while a piece is between mailbox and connection, does no harm: its producer goes on.
std::size_t PostingExchange::unsent_bytes() const {
  const std::size_t unsent = state_->unsent();
  if (unsent <= state_->stream_buffer) return unsent;
  state_->above.store(true);
  return state_->unsent();
}

void PostingExchange::abort() {
  state_->answered.store(true);
  state_->mailbox->post([state = state_] {
    if (state->connection != nullptr) state->connection->abort();
  });
}

void PostingExchange::on_gone(std::function<void()> gone) {
  state_->client.on_gone(std::move(gone));
}

void PostingExchange::on_writable(std::function<void()> writable) {
  state_->client.on_writable(std::move(writable));
  state_->report_writable();
}

}  // namespace sluice
