// An exchange whose answer gets further header fields on its way out.
#pragma once

#include "net/http.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice {

/// Passes everything on; as thread-safe as `amend`, which is called with the answer or the head of
/// the stream on the thread that gives it.
class AmendedExchange final : public HttpExchange {
 public:
  using Amend = std::function<void(HttpResponse&)>;

  AmendedExchange(std::shared_ptr<HttpExchange> inner, Amend amend)
      : inner_(std::move(inner)), amend_(std::move(amend)) {}

  void respond(HttpResponse response) override {
    amend_(response);
    inner_->respond(std::move(response));
  }
  void begin_stream(HttpResponse head) override {
    amend_(head);
    inner_->begin_stream(std::move(head));
  }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void end_stream(std::string piece) override { inner_->end_stream(std::move(piece)); }
  void abort() override { inner_->abort(); }
  [[nodiscard]] std::size_t unsent_bytes() const override { return inner_->unsent_bytes(); }
  void on_gone(std::function<void()> gone) override { inner_->on_gone(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    inner_->on_writable(std::move(writable));
  }

 private:
  std::shared_ptr<HttpExchange> inner_;
  Amend amend_;
};

}  // namespace sluice
