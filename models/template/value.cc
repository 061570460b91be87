#include "models/template/value.h"

#include "models/template/failure.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

namespace sluice::jinja {
namespace {

constexpr std::size_t kChunkBytes = 960;  // malloc is much slower from 1 KiB on
constexpr std::size_t kChunkBytesMax = 1024 * 1024;
// Fewer entries are compared one by one.
constexpr std::uint32_t kIndexedFrom = 12;
constexpr std::uint32_t kEmpty = UINT32_MAX;

std::size_t hash_of(std::string_view key) {
  return std::hash<std::string_view>{}(key);
}

std::int64_t integer_of(const Value& value) {
  return value.is(Kind::boolean) ? static_cast<std::int64_t>(value.boolean) : value.integer;
}

std::partial_ordering compare_exactly(std::int64_t integer, double number) {
  constexpr double kBeyond = 9223372036854775808.0;  // 2^63
  if (std::isnan(number)) return std::partial_ordering::unordered;
  if (number >= kBeyond) return std::partial_ordering::less;
  if (number < -kBeyond) return std::partial_ordering::greater;
  auto whole = static_cast<std::int64_t>(number);
  if (integer != whole) return integer <=> whole;
  return 0.0 <=> number - static_cast<double>(whole);
}

bool are_same_key(const Value& a, const Value& b) {
  if (is_numeric(a) && is_numeric(b)) return compare_numbers(a, b) == 0;
  return a.kind == b.kind && (a.is(Kind::none) || a.is(Kind::undefined));
}

}  // namespace

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  bool a_is_number = a.is(Kind::number);
  bool b_is_number = b.is(Kind::number);
  if (a_is_number && b_is_number) return a.number <=> b.number;
  if (a_is_number) return 0 <=> compare_exactly(integer_of(b), a.number);
  if (b_is_number) return compare_exactly(integer_of(a), b.number);
  return integer_of(a) <=> integer_of(b);
}

const Value* Dict::find(std::string_view key) const {
  if (index != nullptr) {
    for (std::size_t at = hash_of(key) & (index_size - 1); index[at] != kEmpty;
         at = (at + 1) & (index_size - 1)) {
      const Entry& entry = data[index[at]];
      if (entry.key.text.view() == key) return &entry.value;
    }
    return nullptr;
  }
  for (const Entry& entry : *this)
    if (entry.key.is(Kind::text) && entry.key.text.view() == key) return &entry.value;
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Kind::text)) return find(key.text.view());
  for (const Entry& entry : *this)
    if (!entry.key.is(Kind::text) && are_same_key(entry.key, key)) return &entry.value;
  return nullptr;
}

void ValueHeap::check(std::size_t bytes) const {
  if (bytes > bytes_max_ - bytes_used_)
    fail_bound("needs more than " + std::to_string(bytes_max_) + " bytes of memory");
}

char* ValueHeap::take(Area& area, std::size_t size, std::size_t align, std::size_t spare) {
  check(size);
  bytes_used_ += size;
  // `align` is a power of two.
  std::size_t skip = (0 - reinterpret_cast<std::uintptr_t>(area.free)) & (align - 1);
  if (skip + size > static_cast<std::size_t>(area.end - area.free)) {
    // Pieces grow with what is in use, so that their number stays small.
    std::size_t chunk = std::clamp(bytes_used_ / 2, kChunkBytes, kChunkBytesMax);
    chunk = std::max(chunk, size + spare);
    chunks_.push_back(std::unique_ptr<char[]>(new char[chunk]));
    area = Area({chunks_.back().get(), chunk});
    skip = 0;
  }
  char* result = area.free + skip;
  area.free = result + size;
  return result;
}

void* ValueHeap::allocate_bytes(std::size_t count, std::size_t size, std::size_t align) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) check(SIZE_MAX);
  return take(align == 1 ? texts_ : objects_, bytes, align, 0);
}

Value ValueHeap::view(std::string_view text, Origin origin) {
  Text viewed = Text::trusted(text);
  viewed.origin = origin;
  return Value::of(viewed);
}

Value ValueHeap::text(std::string_view text, Origin origin) {
  if (text.empty()) return view("", origin);
  char* copy = allocate<char>(text.size());
  std::memcpy(copy, text.data(), text.size());
  return view({copy, text.size()}, origin);
}

List* ValueHeap::list(Shape shape, std::size_t capacity) {
  List* list = make<List>();
  list->shape = shape;
  list->may_grow = shape == Shape::list;
  if (capacity > 0) {
    list->data = allocate<Value>(capacity);
    list->capacity = static_cast<std::uint32_t>(capacity);
  }
  return list;
}

void ValueHeap::append(List* list, const Value& value) {
  if (list->size == list->capacity) {
    std::size_t capacity = std::max<std::size_t>(4, std::size_t(list->capacity) * 2);
    Value* data = allocate<Value>(capacity);
    std::uninitialized_copy_n(list->data, list->size, data);
    list->data = data;
    list->capacity = static_cast<std::uint32_t>(capacity);
  }
  new (list->data + list->size++) Value(value);
}

Dict* ValueHeap::dict(std::size_t capacity) {
  Dict* dict = make<Dict>();
  if (capacity > 0) {
    dict->data = allocate<Entry>(capacity);
    dict->capacity = static_cast<std::uint32_t>(capacity);
  }
  return dict;
}

Dict* ValueHeap::copy(const Dict& original) {
  Dict* copied = dict(original.size);
  std::uninitialized_copy_n(original.data, original.size, copied->data);
  copied->size = original.size;
  copied->has_only_texts = original.has_only_texts;
  if (original.index == nullptr) return copied;
  copied->index = allocate<std::uint32_t>(original.index_size);
  copied->index_size = original.index_size;
  std::uninitialized_copy_n(original.index, original.index_size, copied->index);
  return copied;
}

void ValueHeap::index(Dict* dict) {
  if (dict->size < kIndexedFrom) return;
  if (!dict->has_only_texts) {
    dict->index = nullptr;
    return;
  }
  bool has_room = dict->index != nullptr && dict->index_size >= dict->size * 2;
  std::uint32_t from = dict->size - 1;
  if (!has_room) {
    dict->index_size = 1;
    while (dict->index_size < dict->size * 4)
      dict->index_size *= 2;
    dict->index = allocate<std::uint32_t>(dict->index_size);
    std::fill_n(dict->index, dict->index_size, kEmpty);
    from = 0;
  }
  for (std::uint32_t i = from; i < dict->size; ++i) {
    std::size_t at = hash_of(dict->data[i].key.text.view()) & (dict->index_size - 1);
    while (dict->index[at] != kEmpty)
      at = (at + 1) & (dict->index_size - 1);
    dict->index[at] = i;
  }
}

void ValueHeap::set(Dict* dict, const Value& key, const Value& value) {
  if (const Value* present = dict->find(key)) {
    *const_cast<Value*>(present) = value;  // the dict is ours to change
    return;
  }
  if (dict->size == dict->capacity) {
    std::size_t capacity = std::max<std::size_t>(4, std::size_t(dict->capacity) * 2);
    Entry* data = allocate<Entry>(capacity);
    std::uninitialized_copy_n(dict->data, dict->size, data);
    dict->data = data;
    dict->capacity = static_cast<std::uint32_t>(capacity);
  }
  new (dict->data + dict->size++) Entry{key, value};
  dict->has_only_texts = dict->has_only_texts && key.is(Kind::text);
  index(dict);
}

Text ValueHeap::join(const Text& head, const Text& tail) {
  if (head.size == 0) return tail;
  if (tail.size == 0) return head;
  std::size_t size = std::size_t(head.size) + tail.size;
  if (size > UINT32_MAX) check(SIZE_MAX);
  Text joined;
  joined.size = static_cast<std::uint32_t>(size);
  joined.origin = std::max(head.origin, tail.origin);
  bool is_last = head.data + head.size == texts_.free && head.data >= texts_.begin &&
                 tail.size <= static_cast<std::size_t>(texts_.end - texts_.free);
  if (is_last) {
    std::memcpy(take(texts_, tail.size, 1, 0), tail.data, tail.size);
    joined.data = head.data;
  } else {
    char* data = take(texts_, size, 1, size);  // it may well grow further
    std::memcpy(data, head.data, head.size);
    std::memcpy(data + head.size, tail.data, tail.size);
    joined.data = data;
  }
  if (head.run_count == 0 && tail.run_count == 0 && head.origin == tail.origin) return joined;

  // The runs of both, with one where the two meet in the same origin.
  std::size_t head_runs = std::max<std::size_t>(head.run_count, 1);
  std::size_t tail_runs = std::max<std::size_t>(tail.run_count, 1);
  auto* runs = allocate<OriginRun>(head_runs + tail_runs);
  std::uint32_t count = 0;
  auto put = [&](std::uint32_t end, Origin origin) {
    if (count > 0 && runs[count - 1].origin == origin) {
      runs[count - 1].end = end;
    } else {
      runs[count++] = {end, origin};
    }
  };
  if (head.run_count == 0) put(head.size, head.origin);
  for (std::uint32_t i = 0; i < head.run_count; ++i)
    put(head.runs[i].end, head.runs[i].origin);
  if (tail.run_count == 0) put(joined.size, tail.origin);
  for (std::uint32_t i = 0; i < tail.run_count; ++i)
    put(head.size + tail.runs[i].end, tail.runs[i].origin);
  joined.runs = runs;
  joined.run_count = count;
  return joined;
}

}  // namespace sluice::jinja
