// The gate before the parser of a chunked body: everything about its framing that would let two
// readers of the same bytes disagree is refused here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

/// Checks the framing of one chunked body as it arrives: sizes, extensions, line ends, trailers.
/// Pure; knows nothing of the data between. Stricter than Boost.Beast's parser, which lets control
/// characters and bare line ends into quoted extensions, and folded lines into trailers.
/// Source: RFC 9112, section 7.1.
class ChunkGate {
 public:
  enum class State { need_more, complete, malformed };

  /// Extensions and trailers together may have so many bytes; nobody here reads them.
  static constexpr std::size_t kUnreadBytesMax = std::size_t{4} << 10;

  /// Looks at the next bytes of the body: each is given once, in order, in slices of any size.
  State feed(std::string_view bytes);
  /// After `complete`: how many bytes of the last slice belong to the body.
  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  enum class Part : std::uint8_t {
    size,            ///< the digits of a chunk's size
    extension,       ///< behind ';', outside of quotes
    quoted,          ///< inside a quoted value of an extension
    escaped,         ///< behind a backslash in a quoted value
    after_quoted,    ///< behind the closing quote
    size_line_feed,  ///< the LF that must follow the CR of a size's line
    data,            ///< `left_` bytes of a chunk
    data_return,     ///< the CR behind a chunk's data
    data_line_feed,  ///< and its LF
    trailer,         ///< at the start of a line behind the last chunk
    trailer_name,    ///< in the name of a trailer
    trailer_value,   ///< behind its colon
    trailer_feed,    ///< the LF that must end a trailer
    last_line_feed,  ///< the LF that ends the body
    done,
  };

  bool take(char c);
  bool take_size(char c);
  bool take_extension(char c);
  bool unread();

  Part part_ = Part::size;
  std::uint8_t digits_ = 0;
  bool named_ = false;   ///< the extension has a name
  bool valued_ = false;  ///< its '=' has been seen
  std::uint64_t left_ = 0;
  std::size_t unread_ = 0;
  std::size_t end_ = 0;
  bool malformed_ = false;
};

}  // namespace sluice
