#include "models/tokenizer/pre_tokenizer.h"

#include "models/json_fields.h"
#include "models/tokenizer/vocabulary.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

/// The cuts of GPT-2: contractions, words, numbers, punctuation, spaces. Source: Radford et al.
/// 2019, their published encoder.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr std::string_view kSpaceSymbol = "\u2581";

Result<PreTokenizer::Behavior> behavior_of(const std::string& name, JsonFields& fields) {
  using Behavior = PreTokenizer::Behavior;
  constexpr std::pair<std::string_view, Behavior> kBehaviors[] = {
      {"Isolated", Behavior::isolated},
      {"Removed", Behavior::removed},
      {"MergedWithPrevious", Behavior::merged_with_previous},
      {"MergedWithNext", Behavior::merged_with_next},
      {"Contiguous", Behavior::contiguous}};
  for (const auto& [known, behavior] : kBehaviors) {
    if (known == name) return behavior;
  }
  fields.refuse("behavior", "'" + name + "' is not known");
  return fields.error();
}

}  // namespace

Result<PreTokenizer> PreTokenizer::load(const json::value* entry, const std::string& file) {
  PreTokenizer pre_tokenizer;
  if (entry == nullptr || entry->is_null()) return pre_tokenizer;
  const std::string place = file + ": pre_tokenizer";
  auto components = components_of(*entry, "pretokenizers", place);
  if (!components) return components.error();
  for (const Component& component : *components)
    if (auto added = pre_tokenizer.add(component, place); !added) return added.error();
  return pre_tokenizer;
}

bool PreTokenizer::removes() const {
  return std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) {
    return stage.behavior == Behavior::removed;
  });
}

void PreTokenizer::push(Stage stage) {
  if (byte_level_ && !std::exchange(spelled_, true))
    stages_.push_back({.spells_bytes = true, .cuts = false});
  stages_.push_back(std::move(stage));
}

Result<void> PreTokenizer::add_regex(Stage stage, std::string_view pattern) {
  Result<Regex> regex = Regex::compile(pattern);
  if (!regex) return regex.error();
  stage.regex = std::move(*regex);
  push(std::move(stage));
  return {};
}

Result<void> PreTokenizer::add_split(std::string_view pattern, Behavior behavior, bool invert) {
  return add_regex({.behavior = behavior, .invert = invert}, pattern);
}

Result<void> PreTokenizer::add_digits(bool individual) {
  return add_split("\\p{N}", individual ? Behavior::isolated : Behavior::contiguous);
}

Result<void> PreTokenizer::add_byte_level(bool prefix_space, bool cuts) {
  Stage stage{.prefix = prefix_space ? " " : "", .cuts = cuts};
  Result<void> added = add_regex(std::move(stage), kGpt2Pattern);
  byte_level_ = true;
  return added;
}

Result<void> PreTokenizer::add(const Component& component, const std::string& place) {
  JsonFields fields(*component.object, place);
  const std::string& type = component.type;
  if (type == "Split") return load_split(*component.object, place + ": Split");
  if ((type == "ByteLevel" || type == "Metaspace") && byte_level_)
    return Error{ErrorCode::invalid_argument, place + ": " + type + " behind ByteLevel"};
  if (type == "Metaspace") return load_metaspace(*component.object, place + ": Metaspace");
  Result<void> added;
  if (type == "ByteLevel") {
    bool prefix_space = fields.boolean("add_prefix_space", true);
    added = add_byte_level(prefix_space, fields.boolean("use_regex", true));
  } else if (type == "Digits") {
    added = add_digits(fields.boolean("individual_digits", false));
  } else if (type == "Punctuation") {
    Result<Behavior> behavior = behavior_of(fields.string("behavior", "Isolated"), fields);
    if (!behavior) return behavior.error();
    added = add_split(R"([!-/:-@\[-`{-~\p{P}])", *behavior);
  } else {
    return Error{ErrorCode::invalid_argument,
                 place + ": type '" + type +
                     "' is not supported (known: ByteLevel, Metaspace, Split, Digits, "
                     "Punctuation, Sequence)"};
  }
  if (fields.failed()) return fields.error();
  return added;
}

Result<void> PreTokenizer::load_split(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  Stage stage;
  stage.invert = fields.boolean("invert", false);
  std::string behavior = fields.string("behavior");
  const json::object* pattern = fields.object("pattern");
  if (pattern == nullptr) fields.refuse("pattern", "is missing");
  if (fields.failed()) return fields.error();
  Result<Behavior> known = behavior_of(behavior, fields);
  if (!known) return known.error();
  stage.behavior = *known;
  JsonFields kind(*pattern, place + ": pattern");
  if (kind.has("Regex")) {
    Result<void> added = add_regex(std::move(stage), kind.string("Regex"));
    if (kind.failed()) return kind.error();
    if (!added) return Error{added.error().code, place + ": " + added.error().message};
    return {};
  }
  stage.literal = true;
  stage.wanted = kind.string("String");
  if (stage.wanted.empty()) kind.refuse("String", "is empty");
  if (kind.failed()) return kind.error();
  push(std::move(stage));
  return {};
}

Result<void> PreTokenizer::load_metaspace(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  if (fields.string("replacement", std::string(kSpaceSymbol)) != kSpaceSymbol)
    fields.refuse("replacement", "other than U+2581 is not supported");
  // Older files have `add_prefix_space` instead of `prepend_scheme`.
  std::string scheme = fields.string("prepend_scheme",
                                     fields.boolean("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fields.refuse("prepend_scheme", "'" + scheme + "' is not known");
  Stage stage{.marks_spaces = true,
              .prefix = std::string(scheme == "never" ? "" : kSpaceSymbol),
              .prefixes_start_only = scheme == "first",
              .cuts = fields.boolean("split", true),
              .literal = true,
              .wanted = std::string(kSpaceSymbol),
              .behavior = Behavior::merged_with_next};
  if (fields.failed()) return fields.error();
  push(std::move(stage));
  return {};
}

/// Joins the parts of a piece, each of which is a match or not, as a behaviour says, and gives them
/// on as soon as it is clear that nothing more joins them.
class PreTokenizer::Joiner {
 public:
  /// `give` takes the bytes [begin, end) of the piece; false: no further one is wanted.
  using Give = std::function<bool(const TextRange&)>;
  Joiner(Behavior behavior, Give give) : behavior_(behavior), give_(std::move(give)) {}

  bool push(const TextRange& part, bool is_match) {
    bool was_match = std::exchange(was_match_, is_match);
    switch (behavior_) {
      case Behavior::isolated:
        return give(part);
      case Behavior::removed:
        return is_match || give(part);
      case Behavior::merged_with_previous:
        return add(part, is_match && !was_match);
      case Behavior::contiguous:
        return add(part, is_match == was_match);
      case Behavior::merged_with_next:
        return add(part, !is_match && was_match);
    }
    return true;
  }
  bool finish() { return !pending_ || give(*std::exchange(pending_, std::nullopt)); }

 private:
  bool give(const TextRange& part) { return part.begin == part.end || give_(part); }
  bool add(const TextRange& part, bool joins) {
    if (joins && pending_) {
      pending_->end = part.end;
      return true;
    }
    bool more = finish();
    pending_ = part;
    return more;
  }

  Behavior behavior_;
  Give give_;
  std::optional<TextRange> pending_;
  bool was_match_ = false;
};

/// Cuts a piece at the matches of a stage; the next stage has each part at once.
/// False: no further piece is wanted.
Result<bool> PreTokenizer::cut(std::size_t index,
                               std::string_view piece,
                               bool at_start,
                               const Visit& visit) const {
  const Stage& stage = stages_[index];
  Result<bool> passed = true;
  Joiner joiner(stage.behavior, [&](const TextRange& part) {
    passed = pass(index + 1,
                  piece.substr(part.begin, part.end - part.begin),
                  at_start && part.begin == 0,
                  visit);
    return passed && *passed;
  });
  std::size_t from = 0;
  bool more = true;
  auto on_match = [&](const TextRange& match) {
    if (from != match.begin) more = joiner.push({from, match.begin}, stage.invert);
    more = more && joiner.push(match, !stage.invert);
    from = match.end;
    return more;
  };
  if (stage.literal) {
    for (std::size_t at = 0; more && (at = piece.find(stage.wanted, at)) != std::string_view::npos;
         at += stage.wanted.size())
      on_match({at, at + stage.wanted.size()});
  } else {
    Result<void> found = stage.regex.find_each(piece, on_match);
    if (!found) return found.error();
  }
  if (more && from != piece.size()) more = joiner.push({from, piece.size()}, stage.invert);
  if (more) joiner.finish();
  return passed;
}

/// Gives a piece to the stage of that index, or to the visitor behind the last one.
Result<bool> PreTokenizer::pass(std::size_t index,
                                std::string_view piece,
                                bool at_start,
                                const Visit& visit) const {
  if (index == stages_.size()) return spelled_ ? visit(bytes_of_spelling(piece)) : visit(piece);
  const Stage& stage = stages_[index];
  std::string changed;
  if (stage.spells_bytes) {
    changed = spelling_of_bytes(piece);
    piece = changed;
  }
  if (stage.marks_spaces) {
    for (char c : piece)
      c == ' ' ? changed += kSpaceSymbol : changed += c;
    piece = changed;
  }
  bool prefixed = !stage.prefix.empty() && (at_start || !stage.prefixes_start_only);
  if (prefixed && !piece.starts_with(stage.prefix)) {
    changed = stage.prefix + std::string(piece);
    piece = changed;
  }
  return stage.cuts ? cut(index, piece, at_start, visit) : pass(index + 1, piece, at_start, visit);
}

Result<void> PreTokenizer::apply(std::string_view text, bool at_start, const Visit& visit) const {
  Result<bool> passed = pass(0, text, at_start, visit);
  if (!passed) return passed.error();
  return {};
}

}  // namespace sluice
