#include "models/tokenizer/hf_model.h"

#include "models/json_fields.h"

#include <cstdint>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

// Ids beyond this are damage: the largest vocabularies hold some 300,000 entries.
constexpr std::int64_t kIdMax = 16'777'215;

Result<Vocabulary> read_vocabulary(const json::object& model, const std::string& place) {
  JsonFields fields(model, place);
  const json::object* entries = fields.object("vocab");
  if (entries == nullptr) {
    fields.refuse("vocab", "is missing");
    return fields.error();
  }
  std::vector<std::string> spellings;
  spellings.reserve(entries->size());
  for (const auto& entry : *entries) {
    std::string spelling(entry.key().data(), entry.key().size());
    const json::value& id = entry.value();
    auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::invalid_argument, place + ": vocab['" + spelling + "'] " + why};
    };
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > kIdMax)
      return refuse("is " + describe(id) + ", must be an integer in [0, " + std::to_string(kIdMax) +
                    "]");
    auto index = static_cast<std::size_t>(id.get_int64());
    if (index >= spellings.size()) spellings.resize(index + 1);
    if (!spellings[index].empty())
      return refuse("has the id " + std::to_string(index) + " of '" + spellings[index] + "'");
    spellings[index] = std::move(spelling);
  }
  return Vocabulary::make(std::move(spellings), place + ": vocab");
}

Result<std::vector<BpeMerge>> read_merges(const json::object& model,
                                          const Vocabulary& vocabulary,
                                          const std::string& place) {
  JsonFields fields(model, place);
  const json::array* list = fields.array("merges");
  if (list == nullptr) {
    fields.refuse("merges", "is missing");
    return fields.error();
  }
  std::vector<BpeMerge> merges;
  merges.reserve(list->size());
  for (const json::value& entry : *list) {
    auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::invalid_argument,
                   place + ": merges[" + std::to_string(merges.size()) + "] is " + describe(entry) +
                       ", " + why};
    };
    std::string left;
    std::string right;
    auto text_of = [](const json::value& value) {
      return std::string(value.get_string().data(), value.get_string().size());
    };
    if (entry.is_string()) {
      std::string pair = text_of(entry);
      std::size_t space = pair.find(' ');
      if (space == std::string::npos) return refuse("must be two tokens with a space between");
      left = pair.substr(0, space);
      right = pair.substr(space + 1);
    } else if (entry.is_array() && entry.get_array().size() == 2 &&
               entry.get_array()[0].is_string() && entry.get_array()[1].is_string()) {
      left = text_of(entry.get_array()[0]);
      right = text_of(entry.get_array()[1]);
    } else {
      return refuse("must be two tokens");
    }
    auto left_id = vocabulary.find(left);
    auto right_id = vocabulary.find(right);
    auto merged = vocabulary.find(left + right);
    if (!left_id || !right_id || !merged)
      return refuse("but '" +
                    (!left_id    ? left
                     : !right_id ? right
                                 : left + right) +
                    "' is not in the vocabulary");
    merges.push_back({*left_id, *right_id, *merged, static_cast<std::int32_t>(merges.size())});
  }
  return merges;
}

}  // namespace

Result<HfModel> read_hf_model(const json::object& model, const std::string& file) {
  std::string place = file + ": model";
  JsonFields fields(model, place);
  std::string type = fields.string("type", "BPE");
  if (type != "BPE") fields.refuse("type", "'" + type + "' is not supported; only BPE is");
  if (fields.number("dropout", 0, 1, 0.0) != 0) fields.refuse("dropout", "is not supported");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!fields.string(affix, "").empty()) fields.refuse(affix, "is not supported");
  }
  BpeOptions options;
  options.byte_fallback = fields.boolean("byte_fallback", false);
  options.whole_words = fields.boolean("ignore_merges", false);
  options.fuse_unknown = fields.boolean("fuse_unk", false);
  std::string unknown = fields.string("unk_token", "");
  if (fields.failed()) return fields.error();
  Result<Vocabulary> vocabulary = read_vocabulary(model, place);
  if (!vocabulary) return vocabulary.error();
  Result<std::vector<BpeMerge>> merges = read_merges(model, *vocabulary, place);
  if (!merges) return merges.error();
  if (!unknown.empty()) {
    options.unknown = vocabulary->find(unknown);
    if (!options.unknown) {
      fields.refuse("unk_token", "'" + unknown + "' is not in the vocabulary");
      return fields.error();
    }
  }
  return HfModel{std::move(*vocabulary), std::move(*merges), std::move(options)};
}

}  // namespace sluice
