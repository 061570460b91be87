// The framing of chunked bodies, byte by byte.
#include "net/chunk_gate.h"

#include "net/ascii.h"

#include <algorithm>

namespace sluice {
namespace {

/// Sixteen digits always fit; more would be leading zeros or an overflow.
constexpr std::uint8_t kDigitsMax = 16;

}  // namespace

ChunkGate::State ChunkGate::feed(std::string_view bytes) {
  std::size_t at = 0;
  while (!malformed_ && part_ != Part::done && at < bytes.size()) {
    if (part_ == Part::data) {  // not looked at
      const auto skipped = std::min<std::uint64_t>(left_, bytes.size() - at);
      at += static_cast<std::size_t>(skipped);
      left_ -= skipped;
      if (left_ == 0) part_ = Part::data_return;
      continue;
    }
    malformed_ = !take(bytes[at++]);
  }
  end_ = at;
  if (malformed_) return State::malformed;
  return part_ == Part::done ? State::complete : State::need_more;
}

/// One byte of the framing; false where it must not stand.
bool ChunkGate::take(char c) {
  const auto then = [this](bool right, Part next) {
    part_ = next;
    return right;
  };
  switch (part_) {
    case Part::size:
      return take_size(c);
    case Part::extension:
      return unread() && take_extension(c);
    case Part::quoted:
      if (c == '"') return unread() && then(true, Part::after_quoted);
      if (c == '\\') return unread() && then(true, Part::escaped);
      return unread() && ascii::is_field_value(c);
    case Part::escaped:
      return unread() && then(ascii::is_field_value(c), Part::quoted);
    case Part::after_quoted:
      if (c == '\r') return then(true, Part::size_line_feed);
      named_ = valued_ = false;
      return unread() && then(c == ';', Part::extension);
    case Part::size_line_feed:
      digits_ = 0;
      return then(c == '\n', left_ > 0 ? Part::data : Part::trailer);
    case Part::data_return:
      return then(c == '\r', Part::data_line_feed);
    case Part::data_line_feed:
      return then(c == '\n', Part::size);
    case Part::trailer:
      if (c == '\r') return then(true, Part::last_line_feed);
      return unread() && then(ascii::is_token(c), Part::trailer_name);
    case Part::trailer_name:
      if (c == ':') return unread() && then(true, Part::trailer_value);
      return unread() && ascii::is_token(c);
    case Part::trailer_value:
      if (c == '\r') return then(true, Part::trailer_feed);
      return unread() && ascii::is_field_value(c);
    case Part::trailer_feed:
      return then(c == '\n', Part::trailer);
    case Part::last_line_feed:
      return then(c == '\n', Part::done);
    case Part::data:
    case Part::done:
      break;
  }
  return false;
}

bool ChunkGate::take_size(char c) {
  if (const int digit = ascii::hex_value(c); digit >= 0) {
    left_ = (digits_ == 0 ? 0 : left_ << 4) | static_cast<std::uint64_t>(digit);
    return ++digits_ <= kDigitsMax;
  }
  if (digits_ == 0) return false;
  named_ = valued_ = false;
  part_ = c == '\r' ? Part::size_line_feed : Part::extension;
  return c == '\r' || (c == ';' && unread());
}

/// Of `name`, `name=token` or `name="quoted"`. White space is bad here in the words of the standard
/// itself, and readers differ in where they take it, so there is none.
bool ChunkGate::take_extension(char c) {
  if (ascii::is_token(c)) return named_ = true;
  if (!named_) {
    // Behind '=' a quoted value may begin; behind ';' there is no extension yet.
    if (c != '"' || !valued_) return false;
    part_ = Part::quoted;
    return true;
  }
  if (c == '\r') {
    part_ = Part::size_line_feed;
    return true;
  }
  if (c == '=' && !valued_) {
    valued_ = true;
    named_ = false;  // the value is to come
    return true;
  }
  if (c != ';') return false;
  named_ = valued_ = false;
  return true;
}

/// Counts a byte that is checked and thrown away.
bool ChunkGate::unread() {
  return ++unread_ <= kUnreadBytesMax;
}

}  // namespace sluice
