// Digests of bytes that come in pieces, as content is named by them: SHA-256, and Git's SHA-1.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// Takes bytes one piece after the other and says their digest. Not thread-safe.
/// Source: FIPS 180-4; for Git, "Pro Git" (Chacon and Straub 2014), section 10.2.
class ContentDigest {
 public:
  /// SHA-256 of the bytes.
  static ContentDigest sha256();
  /// What Git calls a file of `size` bytes: SHA-1 of "blob SIZE", NUL and the bytes.
  static ContentDigest git_blob(std::uint64_t size);

  ContentDigest(ContentDigest&& other) noexcept;
  ContentDigest& operator=(ContentDigest&& other) noexcept;
  ~ContentDigest();

  void add(std::string_view bytes);
  /// In lower-case hexadecimal digits. To be called once, at the end.
  [[nodiscard]] std::string hex();

 private:
  struct State;
  explicit ContentDigest(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice
