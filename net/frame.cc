// Length-prefixed frames: the splitter and the writer's prefix.
#include "net/frame.h"

#include "base/check.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t kFirstCapacity = std::size_t{16} << 10;
/// A buffer that grew for a large frame is given back when it is empty again.
constexpr std::size_t kKeptCapacity = std::size_t{256} << 10;

std::uint32_t load_be32(const char* from) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(from[i]);
  return value;
}

void store_be32(char* to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    to[i] = static_cast<char>(value >> (24 - 8 * i));
}

}  // namespace

char* FrameSplitter::prepare(std::size_t size) {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (capacity_ > kKeptCapacity) {
      buffer_.reset();
      capacity_ = 0;
    }
  }
  if (capacity_ - end_ >= size) return buffer_.get() + end_;
  const std::size_t kept = end_ - begin_;
  // Move what is left to the front when that gives enough room and moves at most half; else grow.
  if (capacity_ - kept >= size && kept <= capacity_ / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, kept);
  } else {
    const std::size_t grown = std::max({kept + size, capacity_ + capacity_ / 2, kFirstCapacity});
    std::unique_ptr<char[]> larger(new char[grown]);
    if (kept > 0) std::memcpy(larger.get(), buffer_.get() + begin_, kept);
    buffer_ = std::move(larger);
    capacity_ = grown;
  }
  begin_ = 0;
  end_ = kept;
  return buffer_.get() + end_;
}

void FrameSplitter::commit(std::size_t size) {
  CHECK(size <= capacity_ - end_);
  end_ += size;
  if (skip_ == 0) return;
  const std::size_t dropped = std::min(skip_, end_ - begin_);
  begin_ += dropped;
  skip_ -= dropped;
}

void FrameSplitter::feed(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
  commit(bytes.size());
}

Result<std::optional<std::string_view>> FrameSplitter::next() {
  if (end_ - begin_ < kFramePrefixBytes) return std::optional<std::string_view>();
  const char* frame = buffer_.get() + begin_;
  const std::size_t length = load_be32(frame);
  if (length == 0) return Error{ErrorCode::data_loss, "a frame of length 0"};
  if (length > payload_bytes_max_) {
    return Error{ErrorCode::data_loss,
                 "a frame of " + std::to_string(length) + " bytes, the limit is " +
                     std::to_string(payload_bytes_max_)};
  }
  if (end_ - begin_ - kFramePrefixBytes < length) return std::optional<std::string_view>();
  begin_ += kFramePrefixBytes + length;
  return std::optional<std::string_view>(std::string_view(frame + kFramePrefixBytes, length));
}

std::size_t FrameSplitter::awaited_length() const {
  return end_ - begin_ > kFramePrefixBytes ? load_be32(buffer_.get() + begin_) : 0;
}

std::string_view FrameSplitter::awaited() const {
  if (awaited_length() == 0) return {};
  return {buffer_.get() + begin_ + kFramePrefixBytes, end_ - begin_ - kFramePrefixBytes};
}

void FrameSplitter::skip_awaited() {
  const std::size_t length = awaited_length();
  CHECK(length > 0);
  skip_ = kFramePrefixBytes + length - (end_ - begin_);
  begin_ = end_;
}

void FrameSplitter::release() {
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  buffer_.reset();
  capacity_ = 0;
}

std::size_t begin_frame(std::string& out) {
  const std::size_t start = out.size();
  out.append(kFramePrefixBytes, '\0');
  return start;
}

void end_frame(std::string& out, std::size_t start) {
  CHECK(out.size() > start + kFramePrefixBytes);
  const std::size_t length = out.size() - start - kFramePrefixBytes;
  CHECK(length <= UINT32_MAX);
  store_be32(out.data() + start, static_cast<std::uint32_t>(length));
}

}  // namespace sluice
