#include "worker/link_codec.h"

#include "base/hash.h"

#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kNumberBytes = 4;
constexpr std::size_t kHeaderBytes = 8;  // of the splitter's payload: checksum, number

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

std::uint32_t checksum(std::string_view number_and_payload) {
  return static_cast<std::uint32_t>(hash_bytes(number_and_payload));
}

Error damaged(std::string message) {
  return {ErrorCode::data_loss, std::move(message)};
}

}  // namespace

void seal_link_frame(std::string& bytes, std::size_t start, std::uint32_t number) {
  char* header = bytes.data() + start + kFramePrefixBytes;
  store_be32(header + kNumberBytes, number);
  store_be32(header,
             checksum(std::string_view(bytes).substr(start + kLinkFrameBytes - kNumberBytes)));
  end_frame(bytes, start);
}

template <class Message>
void LinkWriter::append_frame(const Message& message, std::string& bytes) {
  std::size_t start = begin_frame(bytes);
  bytes.append(kHeaderBytes, '\0');
  wire::encode(message, bytes);
  seal_link_frame(bytes, start, number_);
  if (tap_ != nullptr) tap_->on_frame(number_, bytes, start);
  ++number_;
}

void LinkWriter::append(const wire::ToWorker& message, std::string& bytes) {
  append_frame(message, bytes);
}

void LinkWriter::append(const wire::ToFront& message, std::string& bytes) {
  append_frame(message, bytes);
}

Result<std::optional<std::string_view>> LinkReader::next() {
  auto read = [this]() -> Result<std::optional<std::string_view>> {
    for (;;) {
      auto frame = frames_.next();
      if (!frame || !*frame) return frame;
      std::string_view content = **frame;
      if (content.size() <= kHeaderBytes)
        return damaged("a frame of " + std::to_string(content.size()) + " bytes, it needs 9");
      std::uint32_t given = load_be32(content.data());
      if (given != checksum(content.substr(kNumberBytes)))
        return damaged("a frame of " + std::to_string(content.size()) +
                       " bytes with a wrong checksum, after frame " + std::to_string(number_ - 1));
      std::uint32_t number = load_be32(content.data() + kNumberBytes);
      // Numbers wrap around: what is less than half the circle ahead is ahead.
      auto ahead = static_cast<std::int32_t>(number - number_);
      if (ahead < 0) {
        ++doubled_;
        continue;
      }
      if (ahead > 0)
        return damaged("frame " + std::to_string(number) + " after " + std::to_string(number_ - 1));
      ++number_;
      return std::optional<std::string_view>(content.substr(kHeaderBytes));
    }
  };
  if (broken_) return *broken_;
  auto payload = read();
  if (!payload) broken_ = payload.error();
  return payload;
}

}  // namespace sluice
