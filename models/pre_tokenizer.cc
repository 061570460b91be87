#include "models/pre_tokenizer.h"

#include "models/json_fields.h"

#include <algorithm>
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

Result<void> PreTokenizer::cut(const Stage& stage,
                               std::string_view piece,
                               std::vector<std::string_view>& out) {
  std::vector<TextSpan> matches;
  if (stage.literal) {
    for (std::size_t at = 0; (at = piece.find(stage.wanted, at)) != std::string_view::npos;
         at += stage.wanted.size())
      matches.push_back({at, at + stage.wanted.size()});
  } else {
    Result<void> found = stage.regex.find_all(piece, matches);
    if (!found) return found;
  }
  // The whole piece as a row of parts, each a match or not.
  std::vector<std::pair<TextSpan, bool>> parts;
  std::size_t from = 0;
  for (const TextSpan& match : matches) {
    if (from != match.begin) parts.push_back({{from, match.begin}, stage.invert});
    parts.push_back({match, !stage.invert});
    from = match.end;
  }
  if (from != piece.size()) parts.push_back({{from, piece.size()}, stage.invert});
  // Join them as the behaviour says.
  std::vector<TextSpan> joined;
  bool was_match = false;
  auto to_previous = [&](bool joins, TextSpan part) {
    if (joins && !joined.empty()) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
  };
  switch (stage.behavior) {
    case Behavior::isolated:
      for (const auto& [part, is_match] : parts)
        joined.push_back(part);
      break;
    case Behavior::removed:
      for (const auto& [part, is_match] : parts) {
        if (!is_match) joined.push_back(part);
      }
      break;
    case Behavior::merged_with_previous:
      for (const auto& [part, is_match] : parts) {
        to_previous(is_match && !was_match, part);
        was_match = is_match;
      }
      break;
    case Behavior::contiguous:
      for (const auto& [part, is_match] : parts) {
        to_previous(is_match == was_match, part);
        was_match = is_match;
      }
      break;
    case Behavior::merged_with_next:
      for (std::size_t i = parts.size(); i-- > 0;) {
        bool is_match = parts[i].second;
        if (is_match && !was_match && !joined.empty()) {
          joined.back().begin = parts[i].first.begin;
        } else {
          joined.push_back(parts[i].first);
        }
        was_match = is_match;
      }
      std::reverse(joined.begin(), joined.end());
      break;
  }
  for (const TextSpan& span : joined) {
    if (span.begin < span.end) out.push_back(piece.substr(span.begin, span.end - span.begin));
  }
  return {};
}

Result<void> PreTokenizer::apply(std::string_view text, TextPieces& out) const {
  out.pieces.assign(1, text);
  std::vector<std::string_view> next;
  for (const Stage& stage : stages_) {
    if (stage.add_prefix_space) {
      for (std::string_view& piece : out.pieces) {
        if (piece.front() != ' ') piece = out.owned.emplace_back(" " + std::string(piece));
      }
    }
    if (!stage.cuts) continue;
    next.clear();
    for (std::string_view piece : out.pieces) {
      Result<void> done = cut(stage, piece, next);
      if (!done) return done;
    }
    out.pieces.swap(next);
  }
  return {};
}

}  // namespace sluice
