#include "models/tokenizer/pre_tokenizer.h"

#include "models/json_fields.h"

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

}  // namespace

Result<PreTokenizer> PreTokenizer::load(const json::value* entry, const std::string& file) {
  std::string place = file + ": pre_tokenizer";
  PreTokenizer pre_tokenizer;
  if (entry != nullptr && !entry->is_null()) {
    Result<void> added = pre_tokenizer.add(*entry, place, 0);
    if (!added) return added.error();
  }
  const std::vector<Stage>& stages = pre_tokenizer.stages_;
  auto first = std::find_if(
      stages.begin(), stages.end(), [](const Stage& stage) { return stage.byte_level; });
  if (first == stages.end())
    return Error{ErrorCode::invalid_argument,
                 place + ": has no ByteLevel; only byte-level BPE is supported"};
  if (first + 1 != stages.end())
    return Error{ErrorCode::invalid_argument, place + ": ByteLevel must be the last step"};
  return pre_tokenizer;
}

bool PreTokenizer::removes() const {
  return std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) {
    return stage.behavior == Behavior::removed;
  });
}

Result<void> PreTokenizer::add(const json::value& entry, const std::string& place, int depth) {
  constexpr int kDepthMax = 8;
  if (!entry.is_object() || depth > kDepthMax)
    return Error{ErrorCode::invalid_argument, place + ": is " + describe(entry)};
  JsonFields fields(entry.get_object(), place);
  std::string type = fields.string("type");
  if (fields.failed()) return fields.error();
  if (type == "Sequence") {
    const json::array* list = fields.array("pretokenizers");
    if (list == nullptr)
      return Error{ErrorCode::invalid_argument, place + ": a Sequence without 'pretokenizers'"};
    for (const json::value& inner : *list) {
      Result<void> added = add(inner, place, depth + 1);
      if (!added) return added;
    }
    return {};
  }
  if (type == "Split") return add_split(entry.get_object(), place + ": Split");
  Stage stage;
  std::string pattern;
  if (type == "ByteLevel") {
    stage.byte_level = true;
    stage.add_prefix_space = fields.boolean("add_prefix_space", true);
    stage.cuts = fields.boolean("use_regex", true);
    pattern = kGpt2Pattern;
  } else if (type == "Digits") {
    bool individual = fields.boolean("individual_digits", false);
    stage.behavior = individual ? Behavior::isolated : Behavior::contiguous;
    pattern = "\\p{N}";
  } else if (type == "Punctuation") {
    if (fields.string("behavior", "Isolated") != "Isolated")
      fields.refuse("behavior", "other than \"Isolated\" is not supported for Punctuation");
    pattern = R"([!-/:-@\[-`{-~\p{P}])";
  } else {
    return Error{ErrorCode::invalid_argument,
                 place + ": type '" + type +
                     "' is not supported (known: ByteLevel, Split, Digits, Punctuation, "
                     "Sequence)"};
  }
  if (fields.failed()) return fields.error();
  Result<Regex> regex = Regex::compile(pattern);
  if (!regex) return Error{regex.error().code, place + ": " + regex.error().message};
  stage.regex = std::move(*regex);
  stages_.push_back(std::move(stage));
  return {};
}

Result<void> PreTokenizer::add_split(const json::object& entry, const std::string& place) {
  constexpr std::pair<std::string_view, Behavior> kBehaviors[] = {
      {"Isolated", Behavior::isolated},
      {"Removed", Behavior::removed},
      {"MergedWithPrevious", Behavior::merged_with_previous},
      {"MergedWithNext", Behavior::merged_with_next},
      {"Contiguous", Behavior::contiguous}};
  JsonFields fields(entry, place);
  Stage stage;
  stage.invert = fields.boolean("invert", false);
  std::string behavior = fields.string("behavior");
  const json::object* pattern = fields.object("pattern");
  if (pattern == nullptr) fields.refuse("pattern", "is missing");
  if (fields.failed()) return fields.error();
  auto known = std::find_if(std::begin(kBehaviors), std::end(kBehaviors), [&](const auto& pair) {
    return pair.first == behavior;
  });
  if (known == std::end(kBehaviors)) {
    fields.refuse("behavior", "'" + behavior + "' is not known");
    return fields.error();
  }
  stage.behavior = known->second;
  JsonFields kind(*pattern, place + ": pattern");
  if (kind.has("Regex")) {
    Result<Regex> regex = Regex::compile(kind.string("Regex"));
    if (!regex) return Error{regex.error().code, place + ": " + regex.error().message};
    stage.regex = std::move(*regex);
  } else {
    stage.literal = true;
    stage.wanted = kind.string("String");
    if (stage.wanted.empty()) kind.refuse("String", "is empty");
  }
  if (kind.failed()) return kind.error();
  stages_.push_back(std::move(stage));
  return {};
}

/// Joins the parts of a piece, each of which is a match or not, as a behaviour says, and gives them
/// on as soon as it is clear that nothing more joins them.
class PreTokenizer::Joiner {
 public:
  /// `give` takes the bytes [begin, end) of the piece; false: no further one is wanted.
  using Give = std::function<bool(const TextSpan&)>;
  Joiner(Behavior behavior, Give give) : behavior_(behavior), give_(std::move(give)) {}

  bool push(const TextSpan& part, bool is_match) {
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
  bool give(const TextSpan& part) { return part.begin == part.end || give_(part); }
  bool add(const TextSpan& part, bool joins) {
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
  std::optional<TextSpan> pending_;
  bool was_match_ = false;
};

/// Cuts a piece at the matches of a stage; the next stage has each part at once.
/// False: no further piece is wanted.
Result<bool> PreTokenizer::cut(std::size_t index,
                               std::string_view piece,
                               const Visit& visit) const {
  const Stage& stage = stages_[index];
  Result<bool> passed = true;
  Joiner joiner(stage.behavior, [&](const TextSpan& part) {
    passed = pass(index + 1, piece.substr(part.begin, part.end - part.begin), visit);
    return passed && *passed;
  });
  std::size_t from = 0;
  bool more = true;
  auto on_match = [&](const TextSpan& match) {
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
                                const Visit& visit) const {
  if (index == stages_.size()) return visit(piece);
  const Stage& stage = stages_[index];
  std::string spaced;
  if (stage.add_prefix_space && piece.front() != ' ') {
    spaced = " ";
    piece = spaced.append(piece);
  }
  return stage.cuts ? cut(index, piece, visit) : pass(index + 1, piece, visit);
}

Result<void> PreTokenizer::apply(std::string_view text, const Visit& visit) const {
  Result<bool> passed = pass(0, text, visit);
  if (!passed) return passed.error();
  return {};
}

}  // namespace sluice
