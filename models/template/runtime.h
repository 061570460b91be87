// What every operation of a rendering shares: its memory, what it may still spend, and Python's
// view of values (truth, text, equality, order, attributes, iteration).
#pragma once

#include "models/template/text.h"
#include "models/template/value.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::jinja {

struct MacroNode;
struct Scope;

/// The methods of texts, dicts, lists, loops and cyclers.
enum class Method : std::uint8_t;
/// The global functions.
enum class Builtin : std::uint8_t;

/// Something that can be called.
struct Function {
  enum class Type : std::uint8_t { builtin, method, macro, cycler, joiner };
  Type type = Type::builtin;
  Builtin builtin{};
  Method method{};
  Value self;                        ///< of a method
  const MacroNode* macro = nullptr;  ///< a macro, and where it was defined
  Scope* scope = nullptr;
  List* items = nullptr;    ///< of a cycler
  std::uint32_t place = 0;  ///< of a cycler: the current item; of a joiner: 1 after the first call
  Text separator;           ///< of a joiner
};

/// The state of a for loop, which templates know as `loop`.
struct Loop {
  const List* items = nullptr;
  std::uint32_t index = 0;
  const List* changed = nullptr;  ///< the arguments of the last loop.changed()
};

struct NamedArgument {
  std::string_view name;
  Value value;
};

struct Arguments {
  const Value* values = nullptr;
  std::size_t count = 0;
  const NamedArgument* named = nullptr;
  std::size_t named_count = 0;
};

/// One rendering. Not thread-safe. Everything here may throw TemplateFailure.
class Runtime {
 public:
  struct Limits {
    std::size_t steps_max;
    std::size_t memory_bytes_max;
    std::size_t range_max;
    std::int64_t unix_seconds;  ///< for strftime_now
  };
  explicit Runtime(const Limits& limits)
      : limits_(limits), heap_(limits.memory_bytes_max, first_objects_) {}

  [[nodiscard]] ValueHeap& heap() { return heap_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  /// Counts one step, and the work of copying or comparing so many bytes, of looking at so many
  /// characters one by one (given in bytes), of making so many elements.
  void step() { spend(1); }
  void spend_bytes(std::size_t bytes) { spend(bytes / kBytesPerStep); }
  void spend_characters(std::size_t bytes) { spend(bytes / kCharactersPerStep); }
  void spend_elements(std::size_t elements) { spend(elements / kElementsPerStep); }
  [[nodiscard]] std::size_t steps_used() const { return steps_; }

  /// Python's str().
  Text to_text(const Value& value);
  void write(const Value& value, TextBuilder& out);
  /// Python's repr().
  void write_repr(const Value& value, TextBuilder& out, int depth = 0);

  /// Python's ==.
  bool are_equal(const Value& a, const Value& b, int depth = 0);
  /// Python's < and its like; fails for what has no order. `sign` is for the message.
  std::partial_ordering compare(const Value& a,
                                const Value& b,
                                std::string_view sign = "<",
                                int depth = 0);
  /// Python's `in`.
  bool contains(const Value& container, const Value& wanted);

  /// What Python's iter() gives: the list itself, the keys of a dict, the characters of a text. A
  /// generator is used up. Null: not iterable.
  List* try_iterate(const Value& value);
  List* iterate(const Value& value);
  /// Python's len(); nothing for what has none.
  static std::optional<std::size_t> try_length(const Value& value);

  /// `value.name`: a method or property first, an entry second, else undefined. Fails for an
  /// undefined value.
  Value attribute(const Value& value, std::string_view name, std::optional<Method> method);
  Value attribute(const Value& value, std::string_view name);
  /// `value[key]`: an entry first.
  Value item(const Value& value, const Value& key);
  /// `value[start:stop:step]`; null: left out.
  Value slice(const Value& value, const Value* start, const Value* stop, const Value* step);
  /// What `attribute=` of a filter means: a name, a number, or several with points between. A null
  /// or none `path` gives the item itself.
  Value at_path(const Value& item, const Value* path, const Value* fallback = nullptr);

  /// The value under a key, or null.
  const Value* find(const Dict& dict, std::string_view key) {
    spend_elements(dict.index == nullptr ? dict.size : 0);
    return dict.find(key);
  }
  const Value* find(const Dict& dict, const Value& key) {
    if (key.is(Kind::text)) return find(dict, key.text.view());
    spend_elements(dict.size);
    return dict.find(key);
  }
  Value bind(const Value& self, Method method);

 private:
  // Work that is counted as one step: all of it takes some 0.1 microseconds.
  static constexpr std::size_t kBytesPerStep = 256;
  static constexpr std::size_t kCharactersPerStep = 32;
  static constexpr std::size_t kElementsPerStep = 8;

  void spend(std::size_t steps);
  void write_list(const List& list, TextBuilder& out, int depth);
  Value entry_or_undefined(const Value& value, std::string_view name);

  Limits limits_;
  // A short rendering needs no more: it lives on the stack, where this costs nothing.
  alignas(std::max_align_t) std::array<char, 2048> first_objects_;
  ValueHeap heap_;
  std::size_t steps_ = 0;
};

/// Python's bool().
bool is_true(const Value& value);
/// The name of a value's type in Python.
std::string_view type_name(const Value& value);
/// Fails if values nest too deeply, as those that hold themselves do.
void check_depth(int depth);
/// A number in [min, INT64_MAX] that is not a floating-point one, for arguments.
std::int64_t to_integer(const Value& value, std::string_view what);
/// Fails with the name of what is undefined.
[[noreturn]] void fail_undefined(const Value& value);

}  // namespace sluice::jinja
