// Length-prefixed frames: u32 big-endian length, then exactly that many bytes.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

constexpr std::size_t kFramePrefixBytes = 4;

/// Cuts a stream of bytes, which may arrive in any slices, into the payloads of its frames. The
/// memory it holds follows what has arrived, never what a prefix promises. One owner; not
/// thread-safe.
class FrameSplitter {
 public:
  explicit FrameSplitter(std::size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}
  /// Another limit holds from the next prefix on.
  void limit(std::size_t payload_bytes_max) { payload_bytes_max_ = payload_bytes_max; }

  /// Adds bytes to the end of the stream. Invalidates the payloads given out before.
  void feed(std::string_view bytes);
  /// The same without a copy: room for at least `size` bytes, to be filled by a read and then
  /// committed. Invalidates the payloads given out before.
  char* prepare(std::size_t size);
  void commit(std::size_t size);

  /// The payload of the next complete frame, or none before more bytes arrive. The view is valid
  /// until the next `feed` or `prepare`.
  /// Errors: data_loss, for a length of zero or above the limit; known as soon as the prefix is.
  /// The stream cannot be read any further then, and the error is given again.
  Result<std::optional<std::string_view>> next();

  /// The length of the frame whose payload has begun to arrive, once `next` has given out all that
  /// are complete; 0: none has.
  [[nodiscard]] std::size_t awaited_length() const;
  /// What has arrived of it.
  [[nodiscard]] std::string_view awaited() const;
  /// Drops it: what has arrived, and the rest as it comes.
  void skip_awaited();
  /// Gives memory back where nothing waits.
  void release();

  [[nodiscard]] std::size_t capacity() const { return capacity_; }  ///< bytes held
  [[nodiscard]] bool empty() const { return begin_ == end_; }       ///< at a border of two frames

 private:
  std::size_t payload_bytes_max_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  ///< first byte not given out
  std::size_t end_ = 0;    ///< past the last byte fed
  std::size_t skip_ = 0;   ///< bytes that are dropped as they come
};

/// Reserves the length of a frame at the end of `out`; the payload is appended after it.
///   returns  where the frame begins, for `end_frame`
std::size_t begin_frame(std::string& out);
/// Writes the length of the frame that began at `start`. The payload must not be empty.
void end_frame(std::string& out, std::size_t start);

}  // namespace sluice
