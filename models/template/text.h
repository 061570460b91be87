// Operations on texts that keep the origin of every byte. Positions are bytes unless they are
// called code points.
#pragma once

#include "models/template/value.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::jinja {

/// Builds a text piece by piece. What it holds counts as used by its heap for as long as it lives.
class TextBuilder {
 public:
  ///   expected  as many bytes need not make it grow
  explicit TextBuilder(ValueHeap& heap, std::size_t expected = 0) : heap_(heap) {
    text_.reserve(expected);
  }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;
  ~TextBuilder() { heap_.release(text_.size()); }

  void append(const Text& text);
  void append(std::string_view text, Origin origin);
  void append(char c, Origin origin) { append(std::string_view(&c, 1), origin); }

  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] std::string_view view() const { return text_; }
  [[nodiscard]] std::span<const OriginRun> runs() const { return {runs_, run_count_}; }
  /// What was built, copied into `heap`.
  [[nodiscard]] Value finish(ValueHeap& heap) const;
  /// What was built, which is here no longer.
  [[nodiscard]] std::string take();

 private:
  ValueHeap& heap_;
  std::string text_;
  OriginRun* runs_ = nullptr;  // in the heap; the last one ends at the end of the text
  std::uint32_t run_count_ = 0;
  std::uint32_t run_capacity_ = 0;
};

/// The origin of the byte at `at`.
Origin origin_at(const Text& text, std::size_t at);
/// Bytes [begin, end).
Text slice_bytes(ValueHeap& heap, const Text& text, std::size_t begin, std::size_t end);

/// The length of the character that begins with `lead`, 1 for what begins none.
std::size_t character_bytes(char lead);
/// The code point at byte `at`, which begins one; `at` moves behind it.
char32_t next_code_point(std::string_view text, std::size_t& at);
/// The byte at which code point number `index` begins; the size if there are fewer.
std::size_t byte_of_code_point(std::string_view text, std::size_t index);

/// Whether Python's str.isspace holds for a character.
bool is_space(char32_t c);
/// What remains without the characters at the ends for which `strips` is true.
enum class Side : std::uint8_t { left, right, both };
/// `characters` null: white space.
Text strip(ValueHeap& heap, const Text& text, const Text* characters, Side side);
/// The first place of `wanted` at or behind `from`, or npos. Linear.
std::size_t find_bytes(std::string_view text, std::string_view wanted, std::size_t from = 0);
/// Python's str.split; `separator` null: white space. `limit` < 0: no limit.
void split(
    ValueHeap& heap, const Text& text, const Text* separator, std::int64_t limit, List* parts);
/// Python's str.rsplit.
void split_from_right(
    ValueHeap& heap, const Text& text, const Text* separator, std::int64_t limit, List* parts);
/// Python's str.splitlines.
void split_lines(ValueHeap& heap, const Text& text, bool keep_ends, List* lines);
/// Python's str.replace. `limit` < 0: no limit. `found` becomes the number of replacements.
Value replace(ValueHeap& heap,
              const Text& text,
              const Text& old,
              const Text& replacement,
              std::int64_t limit,
              std::size_t& found);
/// Each character on its own.
void characters_of(ValueHeap& heap, const Text& text, List* characters);
/// Python's text[start:stop:step] for a step that is not 0, given as code points that lie inside
/// the text (see Slice in operators.h).
Value reversed(ValueHeap& heap, const Text& text);

}  // namespace sluice::jinja
