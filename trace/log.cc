#include "trace/log.h"

#include "trace/fields.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace sluice::trace {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

// --- writing -------------------------------------------------------------------------------------

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <class Field>
  void operator()(std::string_view name, const Field& field) {
    out_ += ",\"";
    out_ += name;
    out_ += "\":";
    write(field);
  }

  void write(bool value) { out_ += value ? "true" : "false"; }
  template <class Number>
  void write(Number value) requires std::is_arithmetic_v<Number> {
    char digits[32];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append(digits, end);
  }
  template <class Tag, class Number>
  void write(Id<Tag, Number> id) {
    write(id.value);
  }
  void write(Duration duration) { write(duration.count()); }
  void write(TimePoint time) { write(time.time_since_epoch().count()); }
  void write(Outcome outcome) { write(name_of(outcome)); }
  void write(Why why) { write(name_of(why)); }
  void write(Probe::Step step) { write(name_of(step)); }
  void write(Claimed::Answer answer) { write(name_of(answer)); }
  void write(const std::vector<TokenId>& ids) {
    out_ += '[';
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out_ += ',';
      write(ids[i]);
    }
    out_ += ']';
  }
  void write(const std::string& text) { write(std::string_view(text)); }
  void write(std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    out_ += '"';
    for (char c : text) {
      auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20) {
        out_ += "\\u00";
        out_ += kHex[byte >> 4];
        out_ += kHex[byte & 15];
      } else {
        if (c == '"' || c == '\\') out_ += '\\';
        out_ += c;
      }
    }
    out_ += '"';
  }

 private:
  std::string& out_;
};

// --- reading -------------------------------------------------------------------------------------

/// Takes a line apart. After the first thing that does not fit nothing is read any more.
class Reader {
 public:
  explicit Reader(std::string_view line) : line_(line) {}

  template <class Field>
  void operator()(std::string_view name, Field& field) {
    take(",\"");
    take(name);
    take("\":");
    read(field);
    if (failed_ && !field_) field_ = name;
  }

  void take(std::string_view expected) {
    if (failed_) return;
    if (!line_.substr(at_).starts_with(expected)) return fail();
    at_ += expected.size();
  }
  void read(bool& value) {
    if (failed_) return;
    value = line_.substr(at_).starts_with("true");
    take(value ? "true" : "false");
  }
  template <class Number>
  void read(Number& value) requires std::is_arithmetic_v<Number> {
    if (failed_) return;
    auto [end, error] = std::from_chars(line_.data() + at_, line_.data() + line_.size(), value);
    if (error != std::errc()) return fail();
    at_ = static_cast<std::size_t>(end - line_.data());
  }
  template <class Tag, class Number>
  void read(Id<Tag, Number>& id) {
    read(id.value);
  }
  void read(Duration& duration) {
    Duration::rep count = 0;
    read(count);
    duration = Duration(count);
  }
  void read(TimePoint& time) {
    Duration since;
    read(since);
    time = TimePoint(since);
  }
  void read(Outcome& outcome) { read_name(kOutcomes, outcome); }
  void read(Why& why) { read_name(kWhys, why); }
  void read(Probe::Step& step) { read_name(kProbeSteps, step); }
  void read(Claimed::Answer& answer) { read_name(kAnswers, answer); }
  void read(std::vector<TokenId>& ids) {
    take("[");
    while (!failed_ && !next_is(']')) {
      if (!ids.empty()) take(",");
      read(ids.emplace_back());
    }
    take("]");
  }
  void read(std::string& text) {
    take("\"");
    while (!failed_) {
      if (at_ == line_.size()) return fail();
      char c = line_[at_++];
      if (c == '"') return;
      if (static_cast<unsigned char>(c) < 0x20) return fail();
      text += c == '\\' ? escaped() : c;
    }
  }
  void end() {
    take("}");
    if (at_ != line_.size()) fail();
  }

  [[nodiscard]] Result<void> result() const {
    if (!failed_) return {};
    std::string what = field_ ? "the field '" + std::string(*field_) + "'" : "the line";
    return Error{ErrorCode::data_loss,
                 what + " cannot be read at column " + std::to_string(at_ + 1)};
  }

 private:
  [[nodiscard]] bool next_is(char c) const { return at_ < line_.size() && line_[at_] == c; }
  void fail() { failed_ = true; }

  char escaped() {
    if (at_ == line_.size()) return fail(), '\0';
    char c = line_[at_++];
    if (c == '"' || c == '\\') return c;
    // Only control characters are written as numbers.
    unsigned value = 0;
    auto digits = line_.substr(at_, 5);
    if (c != 'u' || !digits.starts_with("00") || digits.size() < 5) return fail(), '\0';
    auto [end, error] = std::from_chars(line_.data() + at_ + 1, line_.data() + at_ + 4, value, 16);
    if (error != std::errc() || end != line_.data() + at_ + 4 || value >= 0x20) return fail(), '\0';
    at_ += 4;
    return static_cast<char>(value);
  }

  template <class Names, class Enum>
  void read_name(const Names& names, Enum& value) {
    std::string text;
    read(text);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] != text) continue;
      value = static_cast<Enum>(i);
      return;
    }
    fail();
  }

  std::string_view line_;
  std::size_t at_ = 0;
  bool failed_ = false;
  std::optional<std::string_view> field_;
};

/// Makes `body` the alternative of that name. False: there is none.
template <std::size_t I = 0>
bool choose(std::string_view name, Body& body) {
  if constexpr (I == std::variant_size_v<Body>) {
    return false;
  } else if (kNames[I] == name) {
    body.emplace<I>();
    return true;
  } else {
    return choose<I + 1>(name, body);
  }
}

}  // namespace

void append_line(const Event& event, std::string& line) {
  line += "{\"at\":";
  Writer writer(line);
  writer.write(event.at);
  writer("event", name_of(event.body));
  std::visit([&](const auto& body) { each_field(writer, body); }, event.body);
  line += '}';
}

std::string to_line(const Event& event) {
  std::string line;
  append_line(event, line);
  return line;
}

Result<Event> from_line(std::string_view line) {
  Event event;
  std::string name;
  Reader reader(line);
  reader.take("{\"at\":");
  reader.read(event.at);
  reader("event", name);
  if (auto read = reader.result(); !read) return read.error();
  if (!choose(name, event.body))
    return Error{ErrorCode::data_loss, "there is no event called '" + name + "'"};
  std::visit([&](auto& body) { each_field(reader, body); }, event.body);
  reader.end();
  if (auto read = reader.result(); !read) return read.error();
  return event;
}

// --- the file ------------------------------------------------------------------------------------

class FileSink::Impl {
 public:
  explicit Impl(std::FILE* file) : file_(file) {
    std::setvbuf(file_, nullptr, _IONBF, 0);  // the buffer is ours
    buffer_.reserve(kBufferBytes + 4096);
  }
  ~Impl() {
    write();
    std::fclose(file_);
  }

  void record(const Event& event) {
    std::lock_guard guard(mutex_);
    append_line(event, buffer_);
    buffer_ += '\n';
    ++gathered_;
    if (buffer_.size() >= kBufferBytes) write();
  }
  void flush() {
    std::lock_guard guard(mutex_);
    write();
  }
  [[nodiscard]] std::uint64_t lost() const {
    std::lock_guard guard(mutex_);
    return lost_;
  }

 private:
  void write() {
    if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) lost_ += gathered_;
    buffer_.clear();
    gathered_ = 0;
  }

  mutable std::mutex mutex_;
  std::FILE* file_;
  std::string buffer_;
  std::uint64_t gathered_ = 0;  // events in the buffer
  std::uint64_t lost_ = 0;
};

Result<std::unique_ptr<FileSink>> FileSink::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (!file)
    return Error{ErrorCode::unavailable, "cannot write " + path + ": " + std::strerror(errno)};
  return std::unique_ptr<FileSink>(new FileSink(std::make_unique<Impl>(file)));
}

FileSink::FileSink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileSink::~FileSink() = default;

void FileSink::record(Event event) {
  impl_->record(event);
}

void FileSink::flush() {
  impl_->flush();
}

std::uint64_t FileSink::lost() const {
  return impl_->lost();
}

}  // namespace sluice::trace
