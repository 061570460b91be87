// Frames of the worker link: each has a checksum and a number, so that no damaged, lost or repeated
// byte becomes a message.
//
//   u32 BE length   of all that follows
//   u32 BE checksum the low 32 bits of XXH3-64 over all that follows
//   u32 BE number   0, 1, 2, ... in each direction, wrapping around
//   payload         one message (`protocol.h`)
#pragma once

#include "net/frame.h"
#include "worker/protocol.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Bytes of a frame besides its payload.
inline constexpr std::size_t kLinkFrameBytes = kFramePrefixBytes + 8;

/// Writes length, checksum and number of the frame whose room for them begins at `start` and whose
/// payload ends with `bytes`.
void seal_link_frame(std::string& bytes, std::size_t start, std::uint32_t number);

/// Sees every frame before it is written and may damage it; how faults of the link are injected.
class LinkTap {
 public:
  virtual ~LinkTap() = default;
  /// The frame `number` stands in `bytes` from `start` to the end; what stands before it has been
  /// seen. Whatever the call leaves there is written.
  virtual void on_frame(std::uint32_t number, std::string& bytes, std::size_t start) = 0;
};

/// Numbers the frames of one direction. Frames must be written in the order in which they were
/// appended. One owner; not thread-safe.
class LinkWriter {
 public:
  /// `tap`, if any, must outlive the writer.
  explicit LinkWriter(std::uint32_t first_number = 0, LinkTap* tap = nullptr)
      : number_(first_number), tap_(tap) {}

  /// Appends the message's frame to `bytes`.
  void append(const wire::ToWorker& message, std::string& bytes);
  void append(const wire::ToFront& message, std::string& bytes);
  /// The last frame was not written, not a byte of it: its number is given to the next one.
  void take_back() { --number_; }

 private:
  template <class Message>
  void append_frame(const Message& message, std::string& bytes);

  std::uint32_t number_;
  LinkTap* tap_;
};

/// Cuts the bytes of one direction into payloads, and believes nothing. One owner; not thread-safe.
class LinkReader {
 public:
  explicit LinkReader(std::uint32_t first_number = 0)
      : frames_(wire::kFrameBytesMax + 8), number_(first_number) {}

  /// Adds bytes, which may arrive in any slices; as FrameSplitter has it.
  void feed(std::string_view bytes) { frames_.feed(bytes); }
  char* prepare(std::size_t size) { return frames_.prepare(size); }
  void commit(std::size_t size) { frames_.commit(size); }

  /// The payload of the next frame, or none before more bytes arrive; valid until the next `feed`
  /// or `prepare`. A frame whose number was seen before is skipped and counted.
  /// Errors: data_loss, for a wrong checksum, an impossible length or a gap in the numbers ("frame
  /// 17 after 15"). Nothing can be read after it, and the error is given again. A length that was
  /// damaged upwards is found when that many bytes are there; until then the link is silent.
  Result<std::optional<std::string_view>> next();

  [[nodiscard]] std::uint64_t doubled() const { return doubled_; }  ///< frames skipped
  [[nodiscard]] bool empty() const { return frames_.empty(); }      ///< at a border of two frames

 private:
  FrameSplitter frames_;
  std::uint32_t number_;  ///< of the next frame
  std::uint64_t doubled_ = 0;
  std::optional<Error> broken_;
};

}  // namespace sluice
