// The values of a chat template: plain handles into a heap that is freed at once. Texts know which
// of their bytes came from outside.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::jinja {

/// Where text came from. The order matters: what is made of two takes the greater one.
enum class Origin : std::uint8_t {
  trusted,       ///< written in the template, or a name that the model's files give
  untrusted,     ///< from the conversation, the tools or the caller's variables
  continuation,  ///< untrusted, and the mark at which a continued message ends
};

/// The bytes up to `end` (and from the end of the run before) have one origin.
struct OriginRun {
  std::uint32_t end = 0;
  Origin origin = Origin::trusted;
};

/// UTF-8 with the origin of each byte; a view that owns nothing. A text of one origin has no runs.
struct Text {
  const char* data = "";
  const OriginRun* runs = nullptr;  ///< ascending, the last one ends at `size`; null: one origin
  std::uint32_t size = 0;           ///< bytes
  std::uint32_t run_count = 0;
  Origin origin = Origin::trusted;  ///< of all bytes; with runs the greatest among them

  [[nodiscard]] std::string_view view() const { return {data, size}; }
  /// A text of the template itself, which outlives all rendering.
  static Text trusted(std::string_view text) {
    return {text.data(), nullptr, static_cast<std::uint32_t>(text.size()), 0, Origin::trusted};
  }
};

enum class Kind : std::uint8_t {
  undefined,  ///< no value; `text` is the name of what is missing
  none,
  boolean,
  integer,
  number,  ///< a floating-point number
  text,
  list,   ///< whatever is iterated by position, see Shape
  dict,   ///< keeps the order of insertion
  space,  ///< namespace(): a dict whose entries may be set
  loop,
  function,  ///< a macro, a global function, a method bound to its value, ...
};

struct Value;
struct List;
struct Dict;
struct Loop;
struct Function;

/// A small handle that is copied freely. What it refers to lives as long as its heap (or, for the
/// texts of a template, as long as the template).
struct Value {
  Kind kind = Kind::undefined;
  Origin origin = Origin::trusted;  ///< of a scalar, when it is printed
  union {
    bool boolean;
    std::int64_t integer;
    double number;
    Text text;
    List* list;
    Dict* dict;
    Loop* loop;
    Function* function;
  };

  Value() : text() {}

  static Value none(Origin origin = Origin::trusted) { return scalar(Kind::none, origin); }
  static Value of(bool boolean, Origin origin = Origin::trusted) {
    Value value = scalar(Kind::boolean, origin);
    value.boolean = boolean;
    return value;
  }
  static Value of(std::int64_t integer, Origin origin = Origin::trusted) {
    Value value = scalar(Kind::integer, origin);
    value.integer = integer;
    return value;
  }
  static Value of(double number, Origin origin = Origin::trusted) {
    Value value = scalar(Kind::number, origin);
    value.number = number;
    return value;
  }
  static Value of(const Text& text) {
    Value value = scalar(Kind::text, text.origin);
    value.text = text;
    return value;
  }
  static Value trusted(std::string_view text) { return of(Text::trusted(text)); }
  /// `name`, of what is missing, outlives the value.
  static Value undefined(const Text& name) {
    Value value;
    value.text = name;
    return value;
  }
  static Value of(List* list) {
    Value value = scalar(Kind::list, Origin::trusted);
    value.list = list;
    return value;
  }
  static Value of(Dict* dict) {
    Value value = scalar(Kind::dict, Origin::trusted);
    value.dict = dict;
    return value;
  }

  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }

 private:
  static Value scalar(Kind kind, Origin origin) {
    Value value;
    value.kind = kind;
    value.origin = origin;
    return value;
  }
};

/// What a list is in Python's eyes, which decides how it is printed, compared and indexed.
enum class Shape : std::uint8_t {
  list,
  tuple,
  range,
  keys,       ///< dict.keys()
  values,     ///< dict.values()
  items,      ///< dict.items()
  generator,  ///< what map, select, reverse, ... give: can be read once, from `next` on
  group,      ///< a tuple of groupby, with the names `grouper` and `list`
};

struct List {
  Value* data = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  std::uint32_t next = 0;  ///< of a generator: how many were read
  Shape shape = Shape::list;
  bool may_grow = false;    ///< made by the template that runs
  std::int64_t first = 0;   ///< of a range
  std::int64_t step = 1;    ///< of a range
  std::int64_t beyond = 0;  ///< of a range

  /// Element `i` < `size`; those of a range are not stored.
  [[nodiscard]] Value at(std::size_t i) const {
    if (shape != Shape::range) return data[i];
    return Value::of(first + step * static_cast<std::int64_t>(i));
  }
};

/// An entry of a dict. Keys are texts or scalars.
struct Entry {
  Value key;
  Value value;
};

struct Dict {
  Entry* data = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  std::uint32_t* index = nullptr;  ///< places by hash of the text keys; null while there are few
  std::uint32_t index_size = 0;
  bool has_only_texts = true;  ///< as keys; others are found one by one

  [[nodiscard]] const Entry* begin() const { return data; }
  [[nodiscard]] const Entry* end() const { return data + size; }
  /// The value under a text, or null.
  [[nodiscard]] const Value* find(std::string_view key) const;
  /// The value under any key, or null. Numbers that are equal are one key, as in Python.
  [[nodiscard]] const Value* find(const Value& key) const;
};

/// How two numbers (integers, booleans, floating-point) compare, exactly.
std::partial_ordering compare_numbers(const Value& a, const Value& b);
/// Whether a value counts as a number in arithmetic: a boolean does.
inline bool is_numeric(const Value& value) {
  return value.kind == Kind::boolean || value.kind == Kind::integer || value.kind == Kind::number;
}

/// Memory for values, given back all at once. Not thread-safe; what was built may be read by many
/// threads. Errors: beyond `bytes_max` allocations throw (see failure.h), so only
/// models/template calls it with a bound; without one it never does.
class ValueHeap {
 public:
  ///   first  where the first objects lie instead of in the heap itself; outlives it, aligned to
  ///          std::max_align_t
  explicit ValueHeap(std::size_t bytes_max = std::numeric_limits<std::size_t>::max(),
                     std::span<char> first = {})
      : bytes_max_(bytes_max) {
    if (!first.empty()) objects_ = Area(first);
  }
  ValueHeap(const ValueHeap&) = delete;
  ValueHeap& operator=(const ValueHeap&) = delete;

  /// A copy of `text`, which is valid UTF-8 of less than 4 GiB.
  Value text(std::string_view text, Origin origin);
  /// The same without a copy: `text` outlives the heap.
  static Value view(std::string_view text, Origin origin);
  List* list(Shape shape = Shape::list, std::size_t capacity = 0);
  void append(List* list, const Value& value);
  Dict* dict(std::size_t capacity = 0);
  /// A dict with the entries of `original`.
  Dict* copy(const Dict& original);
  /// Adds an entry or replaces the value of an equal key. `key` is a text or a scalar.
  void set(Dict* dict, const Value& key, const Value& value);

  /// Uninitialized memory for `count` objects without a destructor.
  template <class T>
  T* allocate(std::size_t count = 1) {
    return static_cast<T*>(allocate_bytes(count, sizeof(T), alignof(T)));
  }
  /// A new object; its destructor never runs.
  template <class T>
  T* make(T value = {}) {
    return new (allocate<T>()) T(std::move(value));
  }
  /// `head` followed by `tail`. Where `head` was the last text made, it is not copied: building a
  /// text piece by piece stays linear.
  Text join(const Text& head, const Text& tail);
  /// Throws if `bytes` more would be beyond the bound.
  void check(std::size_t bytes) const;
  /// Counts memory that lies elsewhere as used, or no longer.
  void reserve(std::size_t bytes) {
    check(bytes);
    bytes_used_ += bytes;
  }
  void release(std::size_t bytes) { bytes_used_ -= bytes; }

 private:
  /// A piece of memory that is handed out from its beginning.
  struct Area {
    explicit Area(std::span<char> memory)
        : begin(memory.data()), free(begin), end(begin + memory.size()) {}
    char* begin;
    char* free;
    char* end;
  };
  /// `size` bytes of `area`; where they do not fit, of a new piece with `spare` bytes more.
  char* take(Area& area, std::size_t size, std::size_t align, std::size_t spare);
  void* allocate_bytes(std::size_t count, std::size_t size, std::size_t align);
  void index(Dict* dict);

  // A short conversation needs no more than these.
  alignas(std::max_align_t) std::array<char, 512> first_objects_;
  std::array<char, 128> first_texts_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  Area objects_{first_objects_};
  Area texts_{first_texts_};  // of their own, so that a text can grow where it lies
  std::size_t bytes_used_ = 0;
  std::size_t bytes_max_;
};

}  // namespace sluice::jinja
