#include "models/template/text.h"

#include "models/template/failure.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr std::uint32_t kRunsExpected = 8;

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

/// The byte at which the character before `end` begins.
std::size_t previous_character(std::string_view text, std::size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

char32_t code_point_at(std::string_view text, std::size_t at) {
  return next_code_point(text, at);
}

}  // namespace

void TextBuilder::append(std::string_view text, Origin origin) {
  if (text.empty()) return;
  heap_.reserve(text.size());
  text_ += text;
  auto end = static_cast<std::uint32_t>(text_.size());
  if (run_count_ > 0 && runs_[run_count_ - 1].origin == origin) {
    runs_[run_count_ - 1].end = end;
    return;
  }
  if (run_count_ == run_capacity_) {
    run_capacity_ = std::max(kRunsExpected, run_capacity_ * 2);
    auto* runs = heap_.allocate<OriginRun>(run_capacity_);
    std::uninitialized_copy_n(runs_, run_count_, runs);
    runs_ = runs;
  }
  new (runs_ + run_count_++) OriginRun{end, origin};
}

void TextBuilder::append(const Text& text) {
  if (text.run_count == 0) {
    append(text.view(), text.origin);
    return;
  }
  std::uint32_t begin = 0;
  for (std::uint32_t i = 0; i < text.run_count; ++i) {
    append(text.view().substr(begin, text.runs[i].end - begin), text.runs[i].origin);
    begin = text.runs[i].end;
  }
}

std::string TextBuilder::take() {
  heap_.release(text_.size());
  run_count_ = 0;
  return std::exchange(text_, {});
}

Value TextBuilder::finish(ValueHeap& heap) const {
  if (run_count_ == 0) return Value::trusted("");
  if (run_count_ == 1) return heap.text(text_, runs_[0].origin);
  Value built = heap.text(text_, Origin::trusted);
  auto* runs = heap.allocate<OriginRun>(run_count_);
  std::uninitialized_copy_n(runs_, run_count_, runs);
  for (const OriginRun& run : this->runs())
    built.origin = std::max(built.origin, run.origin);
  built.text.origin = built.origin;
  built.text.runs = runs;
  built.text.run_count = run_count_;
  return built;
}

Origin origin_at(const Text& text, std::size_t at) {
  if (text.run_count == 0) return text.origin;
  const OriginRun* end = text.runs + text.run_count;
  const OriginRun* run = std::upper_bound(
      text.runs, end, at, [](std::size_t byte, const OriginRun& r) { return byte < r.end; });
  return run == end ? end[-1].origin : run->origin;
}

Text slice_bytes(ValueHeap& heap, const Text& text, std::size_t begin, std::size_t end) {
  Text part = text;
  part.data += begin;
  part.size = static_cast<std::uint32_t>(end - begin);
  if (text.run_count == 0) return part;
  part.runs = nullptr;
  part.run_count = 0;
  if (part.size == 0) {
    part.origin = Origin::trusted;
    return part;
  }
  const OriginRun* last = text.runs + text.run_count;
  auto ends_behind = [](std::size_t byte, const OriginRun& r) { return byte < r.end; };
  const OriginRun* from = std::upper_bound(text.runs, last, begin, ends_behind);
  const OriginRun* to = std::upper_bound(from, last, end - 1, ends_behind);
  part.origin = from->origin;
  if (from == to) return part;
  part.run_count = static_cast<std::uint32_t>(to - from + 1);
  auto* runs = heap.allocate<OriginRun>(part.run_count);
  for (std::uint32_t i = 0; i < part.run_count; ++i) {
    std::size_t run_end = std::min<std::size_t>(from[i].end, end);
    runs[i] = {static_cast<std::uint32_t>(run_end - begin), from[i].origin};
    part.origin = std::max(part.origin, from[i].origin);
  }
  part.runs = runs;
  return part;
}

std::size_t character_bytes(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

char32_t next_code_point(std::string_view text, std::size_t& at) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t size = std::min(character_bytes(text[at]), text.size() - at);
  char32_t c = byte(at);
  if (size > 1) c &= 0xFFU >> (size + 1);
  for (std::size_t i = 1; i < size; ++i)
    c = c << 6 | (byte(at + i) & 0x3F);
  at += size;
  return c;
}

std::size_t byte_of_code_point(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index)
    at += character_bytes(text[at]);
  return std::min(at, text.size());
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

Text strip(ValueHeap& heap, const Text& text, const Text* characters, Side side) {
  std::string_view view = text.view();
  auto strips = [&](std::size_t at) {
    if (characters == nullptr) return is_space(code_point_at(view, at));
    std::size_t size = character_bytes(view[at]);
    return find_bytes(characters->view(), view.substr(at, size)) != std::string_view::npos;
  };
  std::size_t begin = 0;
  std::size_t end = view.size();
  if (side != Side::right)
    while (begin < end && strips(begin))
      begin = std::min(end, begin + character_bytes(view[begin]));
  if (side != Side::left)
    while (end > begin && strips(previous_character(view, end)))
      end = previous_character(view, end);
  return slice_bytes(heap, text, begin, end);
}

std::size_t find_bytes(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  // memmem's work is linear in both sizes, unlike std::string_view::find's. It sees one stretch
  // after the other, because the address sanitizer looks at all that it is given before it starts.
  std::size_t stretch = 4096 + 2 * wanted.size();
  while (text.size() - from >= wanted.size()) {
    std::string_view part = text.substr(from, stretch);
    const void* found = memmem(part.data(), part.size(), wanted.data(), wanted.size());
    if (found != nullptr)
      return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    from += part.size() - wanted.size() + 1;
  }
  return std::string_view::npos;
}

void split(
    ValueHeap& heap, const Text& text, const Text* separator, std::int64_t limit, List* parts) {
  std::string_view view = text.view();
  auto put = [&](std::size_t begin, std::size_t end) {
    heap.append(parts, Value::of(slice_bytes(heap, text, begin, end)));
  };
  if (separator != nullptr) {
    std::size_t begin = 0;
    for (; limit != 0; --limit) {
      std::size_t end = find_bytes(view, separator->view(), begin);
      if (end == std::string_view::npos) break;
      put(begin, end);
      begin = end + separator->size;
    }
    put(begin, view.size());
    return;
  }
  for (std::size_t at = 0;;) {
    while (at < view.size() && is_space(code_point_at(view, at)))
      next_code_point(view, at);
    if (at == view.size()) return;
    std::size_t begin = at;
    if (limit-- == 0) {
      put(begin, view.size());
      return;
    }
    while (at < view.size() && !is_space(code_point_at(view, at)))
      next_code_point(view, at);
    put(begin, at);
  }
}

void split_from_right(
    ValueHeap& heap, const Text& text, const Text* separator, std::int64_t limit, List* parts) {
  std::string_view view = text.view();
  auto put = [&](std::size_t begin, std::size_t end) {
    heap.append(parts, Value::of(slice_bytes(heap, text, begin, end)));
  };
  std::size_t end = view.size();
  if (separator != nullptr) {
    // The places that a search from the right finds; overlapping ones differ from the left's.
    for (; limit != 0; --limit) {
      if (separator->size > end) break;
      std::size_t at = view.substr(0, end).rfind(separator->view());
      if (at == std::string_view::npos) break;
      put(at + separator->size, end);
      end = at;
    }
    put(0, end);
  } else {
    for (;;) {
      while (end > 0 && is_space(code_point_at(view, previous_character(view, end))))
        end = previous_character(view, end);
      if (end == 0) break;
      std::size_t begin = end;
      if (limit-- == 0) {
        put(0, end);
        break;
      }
      while (begin > 0 && !is_space(code_point_at(view, previous_character(view, begin))))
        begin = previous_character(view, begin);
      put(begin, end);
      end = begin;
    }
  }
  std::reverse(parts->data, parts->data + parts->size);
}

void split_lines(ValueHeap& heap, const Text& text, bool keep_ends, List* lines) {
  std::string_view view = text.view();
  for (std::size_t at = 0; at < view.size();) {
    std::size_t begin = at;
    std::size_t end = view.size();
    while (at < view.size()) {
      std::size_t here = at;
      char32_t c = next_code_point(view, at);
      if (!is_line_end(c)) continue;
      if (c == '\r' && at < view.size() && view[at] == '\n') ++at;
      end = keep_ends ? at : here;
      break;
    }
    heap.append(lines, Value::of(slice_bytes(heap, text, begin, end)));
  }
}

Value replace(ValueHeap& heap,
              const Text& text,
              const Text& old,
              const Text& replacement,
              std::int64_t limit,
              std::size_t& found) {
  std::string_view view = text.view();
  bool is_absent = limit == 0 || find_bytes(view, old.view()) == std::string_view::npos;
  if (is_absent) return Value::of(text);
  TextBuilder result(heap);
  std::size_t at = 0;
  for (; limit != 0; --limit, ++found) {
    std::size_t place = find_bytes(view, old.view(), at);
    if (place == std::string_view::npos) break;
    if (old.size > 0) {
      result.append(slice_bytes(heap, text, at, place));
      result.append(replacement);
      at = place + old.size;
      continue;
    }
    // An empty text stands before every character and at the end.
    result.append(replacement);
    if (at == view.size()) return result.finish(heap);
    std::size_t next = std::min(view.size(), at + character_bytes(view[at]));
    result.append(slice_bytes(heap, text, at, next));
    at = next;
  }
  result.append(slice_bytes(heap, text, at, view.size()));
  return result.finish(heap);
}

void characters_of(ValueHeap& heap, const Text& text, List* characters) {
  for (std::size_t at = 0; at < text.size;) {
    std::size_t next = std::min<std::size_t>(text.size, at + character_bytes(text.data[at]));
    heap.append(characters, Value::of(slice_bytes(heap, text, at, next)));
    at = next;
  }
}

Value reversed(ValueHeap& heap, const Text& text) {
  TextBuilder result(heap);
  for (std::size_t end = text.size; end > 0;) {
    std::size_t begin = previous_character(text.view(), end);
    result.append(slice_bytes(heap, text, begin, end));
    end = begin;
  }
  return result.finish(heap);
}

}  // namespace sluice::jinja
