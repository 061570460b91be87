#include "bench/overload/crowd_clients.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::overload {
namespace {

TimePoint now() {
  return SystemClock().now();
}

/// The code in the body of an error, or in an event of one.
std::string_view code_in(std::string_view text) {
  constexpr std::string_view kField = R"("code":")";
  std::size_t at = text.find(kField);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kField.size());
  return text.substr(0, text.find('"'));
}

CrowdEnd end_of(int status) {
  if (status == 200) return CrowdEnd::completed;
  if (status == 429 || status == 503) return CrowdEnd::refused;
  return status == 504 ? CrowdEnd::timed_out : CrowdEnd::failed;
}

}  // namespace

/// Written by whoever answers the request, one at a time; read when all have ended.
struct CrowdClients::Record {
  TimePoint due;
  TimePoint sent;
  TimePoint first;
  TimePoint over;
  std::uint32_t pieces = 0;
  std::uint16_t status = 0;
  std::atomic<CrowdEnd> end{CrowdEnd::none};
  std::array<char, 32> code{};  ///< of an error

  void note(std::string_view what) { what.copy(code.data(), code.size() - 1); }
};

/// What is known of all requests.
struct CrowdClients::Book {
  explicit Book(std::size_t most) : records(most) {}

  void end(Record& record, CrowdEnd how) {
    record.over = now();
    CrowdEnd before = CrowdEnd::none;
    if (!record.end.compare_exchange_strong(before, how)) {
      faults += 1;
      return;
    }
    ended += 1;
    changed.notify_one();
  }

  std::vector<Record> records;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> ended{0};
  std::atomic<std::size_t> most_inside{0};
  std::atomic<std::uint64_t> faults{0};
  std::mutex mutex;
  std::condition_variable changed;
};

class CrowdClients::Exchange final : public HttpExchange {
 public:
  Exchange(std::shared_ptr<Book> book, Record& record) : book_(std::move(book)), record_(record) {}
  ~Exchange() override {
    if (record_.end == CrowdEnd::none) book_->end(record_, CrowdEnd::cut);
  }

  void respond(HttpResponse response) override {
    if (streaming_) book_->faults += 1;
    record_.status = static_cast<std::uint16_t>(response.status);
    if (response.status != 200) record_.note(code_in(response.content()));
    finish(end_of(response.status));
  }
  void begin_stream(HttpResponse head) override {
    if (streaming_ || head.status != 200) book_->faults += 1;
    streaming_ = true;
    record_.status = static_cast<std::uint16_t>(head.status);
  }
  void write(std::string piece) override { take(piece); }
  void end_stream(std::string piece) override {
    take(piece);
    if (!piece.ends_with("data: [DONE]\n\n")) book_->faults += 1;
    std::string_view code(record_.code.data());
    finish(code.empty()                  ? CrowdEnd::completed
           : code == "deadline_exceeded" ? CrowdEnd::timed_out
                                         : CrowdEnd::failed);
  }
  void abort() override { finish(CrowdEnd::cut); }
  [[nodiscard]] std::size_t unsent_bytes() const override { return 0; }
  // Kept as a connection keeps them, though nobody will call.
  void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }
  void on_writable(std::function<void()> writable) override { writable_ = std::move(writable); }

 private:
  void take(const std::string& piece) {
    if (!streaming_ || record_.end != CrowdEnd::none) book_->faults += 1;
    ++record_.pieces;
    const bool comments = piece.starts_with(':');  // that it waits
    if (record_.first == TimePoint() && !comments) record_.first = now();
    if (piece.starts_with(R"(data: {"error")")) record_.note(code_in(piece));
  }
  void finish(CrowdEnd how) {
    gone_ = nullptr;
    writable_ = nullptr;
    book_->end(record_, how);
  }

  std::shared_ptr<Book> book_;
  Record& record_;
  bool streaming_ = false;
  std::function<void()> gone_;
  std::function<void()> writable_;
};

CrowdClients::CrowdClients(std::size_t most) : book_(std::make_shared<Book>(most)) {}
CrowdClients::~CrowdClients() = default;

std::shared_ptr<HttpExchange> CrowdClients::begin(TimePoint due) {
  std::size_t number = book_->next.fetch_add(1);
  if (number >= book_->records.size()) return nullptr;
  Record& record = book_->records[number];
  record.due = due;
  record.sent = now();
  std::size_t inside = this->inside();
  std::size_t most = book_->most_inside;
  while (inside > most && !book_->most_inside.compare_exchange_weak(most, inside)) {
  }
  return std::make_shared<Exchange>(book_, record);
}

std::size_t CrowdClients::begun() const {
  return std::min<std::size_t>(book_->next, book_->records.size());
}

std::size_t CrowdClients::ended() const {
  return book_->ended;
}

std::size_t CrowdClients::inside() const {
  std::size_t ended = book_->ended;  // first, for what ends has begun before
  return begun() - ended;
}

std::size_t CrowdClients::most_inside() const {
  return book_->most_inside;
}

std::uint64_t CrowdClients::faults() const {
  return book_->faults;
}

void CrowdClients::wait(Duration time) {
  std::unique_lock lock(book_->mutex);
  book_->changed.wait_for(lock, time);
}

CrowdClients::Figures CrowdClients::tell() const {
  Figures figures;
  figures.begun = begun();
  for (std::size_t i = 0; i < figures.begun; ++i) {
    const Record& record = book_->records[i];
    CrowdEnd end = record.end;
    ++figures.ended[static_cast<std::size_t>(end)];
    figures.lateness.record(record.sent - record.due);
    figures.pieces += record.pieces;
    if (record.first != TimePoint()) figures.first_piece.record(record.first - record.due);
    if (end == CrowdEnd::completed) {
      figures.completed.record(record.over - record.due);
      continue;
    }
    if (end == CrowdEnd::refused) figures.refusal.record(record.over - record.sent);
    ++figures.reasons[std::to_string(record.status) + " " + record.code.data()];
  }
  return figures;
}

std::size_t CrowdClients::bytes_each() {
  constexpr std::size_t kControlBlock = 16;  // of its shared_ptr
  return sizeof(Record) + sizeof(Exchange) + kControlBlock;
}

}  // namespace sluice::overload
