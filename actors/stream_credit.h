// How far the sequences of a stream may run ahead of its reader.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sluice {

/// Each sequence of a stream may give so many results (`StartSequence::granted`) beyond those that
/// its reader has kept up with, that all of them together fill the stream's buffer once more. A
/// reader that stops costs two buffers, then; one that keeps up never notices, because the next
/// grant goes out when half of the last one is used. Pure; owner: the session.
class StreamCredit {
 public:
  ///   buffer_bytes  of the stream, before its reader counts as slow
  ///   sequences     that share it
  ///   logprobs      alternatives reported with each result, if any
  StreamCredit(std::size_t buffer_bytes,
               std::size_t sequences,
               std::optional<std::uint32_t> logprobs) {
    std::size_t event = kEventBytes;
    if (logprobs) event += kAlternativeBytes * (*logprobs + 2);
    std::size_t results = buffer_bytes / (event * std::max<std::size_t>(1, sequences));
    window_ = static_cast<std::uint32_t>(std::clamp<std::size_t>(results, kLeast, kMost));
  }

  /// What is granted to a sequence that has given `reported` results and has been granted `granted`
  /// in all: that, or more.
  [[nodiscard]] std::uint32_t next(std::uint32_t reported, std::uint32_t granted) const {
    if (granted > reported && granted - reported > window_ / 2) return granted;
    return std::max(granted, reported + window_);
  }

 private:
  // Of an event with a short text, and of one alternative in it: rather more than they have.
  static constexpr std::size_t kEventBytes = 256;
  static constexpr std::size_t kAlternativeBytes = 40;
  static constexpr std::size_t kLeast = 2;
  static constexpr std::size_t kMost = 1024;

  std::uint32_t window_ = kLeast;
};

}  // namespace sluice
