#include "client/hub_files.h"

#include "base/utf8.h"
#include "client/json_members.h"
#include "client/progress_text.h"
#include "client/terminal_text.h"
#include "net/ascii.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>
#include <variant>

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kPartBytesMax = 200;  // with what we append below the system's 255
constexpr std::size_t kFilesMax = 100'000;
constexpr std::size_t kShownMax = 40;

bool matches(const std::string& name, const std::string& pattern) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

std::string file_part(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

bool is_top_level(const std::string& name) {
  return name.find('/') == std::string::npos;
}

bool is_safetensors(const std::string& name) {
  return name.ends_with(".safetensors");
}

/// A model, not what belongs to one: projections of images, matrices of importance.
bool is_gguf_model(const std::string& name) {
  std::string file = file_part(name);
  std::transform(file.begin(), file.end(), file.begin(), ascii::lower);
  return file.ends_with(".gguf") && !file.starts_with("mmproj") &&
         file.find("imatrix") == std::string::npos;
}

/// What stands beside weights and is small.
bool is_companion(const std::string& name) {
  constexpr std::array kPatterns = {"config.json",
                                    "generation_config.json",
                                    "tokenizer*.json",
                                    "tokenizer.model",
                                    "special_tokens_map.json",
                                    "chat_template*",
                                    "model.safetensors.index.json"};
  return is_top_level(name) && std::any_of(kPatterns.begin(), kPatterns.end(), [&](auto pattern) {
           return matches(name, pattern);
         });
}

/// "Q4_K_M" in "model-Q4_K_M.gguf" or "q4_k_m/model.gguf", but not "Q4_K" in "Q4_K_M".
bool names_quantization(const std::string& name, const std::string& quantization) {
  auto same = [](char a, char b) { return ascii::lower(a) == ascii::lower(b); };
  auto begin = name.begin();
  for (;;) {
    auto at = std::search(begin, name.end(), quantization.begin(), quantization.end(), same);
    if (at == name.end()) return false;
    auto after = at + static_cast<std::ptrdiff_t>(quantization.size());
    const bool starts = at == name.begin() || !ascii::is_alnum(*(at - 1));
    const bool ends = after == name.end() || (!ascii::is_alnum(*after) && *after != '_');
    if (starts && ends) return true;
    begin = at + 1;
  }
}

std::string listed(const std::vector<HubFile>& files) {
  std::string text;
  for (std::size_t i = 0; i < std::min(files.size(), kShownMax); ++i)
    text += "\n  " + shown_line(files[i].name) +
            (files[i].size ? "  " + bytes_text(*files[i].size) : "");
  if (files.size() > kShownMax)
    text += "\n  and " + std::to_string(files.size() - kShownMax) + " more";
  return text;
}

template <class Wanted>
std::vector<HubFile> filtered(const std::vector<HubFile>& files, Wanted wanted) {
  std::vector<HubFile> some;
  std::copy_if(files.begin(), files.end(), std::back_inserter(some), [&](const HubFile& file) {
    return wanted(file.name);
  });
  return some;
}

/// The weights of a folder, in one spelling: "consolidated.safetensors", variants and adapters
/// beside "model*.safetensors" hold the same or something else.
std::vector<HubFile> folder_weights(const std::vector<HubFile>& files) {
  for (const char* pattern : {"model-*-of-*.safetensors", "model.safetensors"}) {
    auto some = filtered(files, [&](const std::string& name) { return matches(name, pattern); });
    if (!some.empty()) return some;
  }
  return filtered(
      files, [](const std::string& name) { return is_top_level(name) && is_safetensors(name); });
}

Result<HubChoice> choose_gguf(const std::vector<HubFile>& models, const HubSpec& spec) {
  if (models.size() == 1) return HubChoice{models, true};
  const bool is_split = std::all_of(models.begin(), models.end(), [](const HubFile& file) {
    return matches(file.name, "*-of-*.gguf");
  });
  if (is_split)
    return Error{ErrorCode::not_found,
                 spec.id() +
                     ": what is meant is split into several files, which cannot be served:" +
                     listed(models)};
  return Error{ErrorCode::invalid_argument,
               spec.id() + " has " + std::to_string(models.size()) +
                   " GGUF files to choose from; name one, as in hf:" + spec.id() +
                   ":Q4_K_M or by --include:" + listed(models)};
}

/// One member of "siblings".
Result<HubFile> parse_file(JsonTape::Value sibling) {
  HubFile file;
  file.name = text_member(sibling, "rfilename");
  if (const std::string fault = fault_of_name(file.name); !fault.empty())
    return Error{ErrorCode::data_loss,
                 "lists a file \"" + shown_line(file.name, 100) + "\", whose name " + fault};
  const auto size = find_member(sibling, "size");
  const auto lfs = find_member(sibling, "lfs");
  const bool is_large = lfs && lfs->is(JsonKind::object);
  file.digest =
      digest_of_etag(is_large ? text_member(*lfs, "sha256") : text_member(sibling, "blobId"));
  if (size && size->is(JsonKind::integer)) {
    if (size->integer() < 0 || static_cast<std::uint64_t>(size->integer()) > kHubFileBytesMax)
      return Error{ErrorCode::data_loss,
                   "says that " + shown_line(file.name, 100) + " has " +
                       std::to_string(size->integer()) + " bytes"};
    file.size = static_cast<std::uint64_t>(size->integer());
  }
  const bool is_whole = file.size && file.digest.size() == (is_large ? 64U : 40U);
  if (!is_whole) return HubFile{std::move(file.name), std::nullopt, ""};
  return file;
}

}  // namespace

std::string fault_of_name(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kNameBytesMax) return "has more than 512 bytes";
  if (!is_valid_utf8(name)) return "is not UTF-8";
  if (shown_line(name, kNameBytesMax) != name) return "has control characters";
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, end);
    if (part.empty() || part == "." || part == "..") return "leaves its folder";
    if (part.size() > kPartBytesMax) return "has a part of more than 200 bytes";
    if (end + 1 == name.size()) return "leaves its folder";
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return "";
}

std::string digest_of_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  const bool is_hex = std::all_of(etag.begin(), etag.end(), [](char c) {
    return ascii::hex_value(c) >= 0 && ascii::lower(c) == c;
  });
  return is_hex && (etag.size() == 40 || etag.size() == 64) ? std::string(etag) : "";
}

Result<HubListing> parse_hub_listing(std::string_view body) {
  auto parsed = JsonTape::parse(body);
  const auto* tape = std::get_if<JsonTape>(&parsed);
  const auto siblings = tape != nullptr ? find_member(tape->root(), "siblings") : std::nullopt;
  if (!siblings || !siblings->is(JsonKind::array))
    return Error{ErrorCode::data_loss,
                 "is not the hub's description of a model: " + shown_line(body, 100)};
  HubListing listing;
  listing.commit = text_member(tape->root(), "sha");
  if (!is_commit(listing.commit))
    return Error{ErrorCode::data_loss,
                 "names no commit: \"" + shown_line(listing.commit, 60) + "\""};
  if (siblings->size() > kFilesMax)
    return Error{ErrorCode::data_loss,
                 "lists " + std::to_string(siblings->size()) + " files, more than " +
                     std::to_string(kFilesMax)};
  std::set<std::string> names;
  for (const JsonTape::Value sibling : *siblings) {
    Result<HubFile> file = parse_file(sibling);
    if (!file) return file.error();
    if (!names.insert(file->name).second)
      return Error{ErrorCode::data_loss, "lists " + shown_line(file->name, 100) + " twice"};
    listing.files.push_back(std::move(*file));
  }
  return listing;
}

Result<HubChoice> choose_files(const std::vector<HubFile>& files,
                               const HubSpec& spec,
                               const std::vector<std::string>& include) {
  auto is_included = [&](const std::string& name) {
    return include.empty() || std::any_of(include.begin(), include.end(), [&](auto& pattern) {
             return matches(name, pattern);
           });
  };
  auto is_weights = [](const std::string& name) {
    return is_safetensors(name) || is_gguf_model(name);
  };
  const auto all_models = filtered(files, is_gguf_model);
  auto weights = include.empty() ? folder_weights(files) : filtered(files, is_included);
  auto models = filtered(all_models, is_included);
  if (!spec.quantization.empty()) {
    weights.clear();
    models = filtered(models, [&](const std::string& name) {
      return names_quantization(name, spec.quantization);
    });
    if (models.empty())
      return Error{ErrorCode::not_found,
                   spec.id() + " has no GGUF file of the quantization " + spec.quantization +
                       (all_models.empty() ? "; it has no GGUF file at all"
                                           : "; it has:" + listed(all_models))};
  }
  const bool is_folder = std::any_of(weights.begin(), weights.end(), [](const HubFile& file) {
    return !file.name.ends_with(".gguf");
  });
  if (!is_folder && !models.empty()) return choose_gguf(models, spec);
  if (weights.empty()) {
    const bool none_matches = !include.empty();
    auto shown = none_matches ? filtered(files, is_weights) : files;
    return Error{ErrorCode::not_found,
                 spec.id() +
                     (none_matches ? " has nothing that --include matches; its weights are:"
                                   : " has no *.safetensors and no *.gguf, which is what "
                                     "can be served; it has:") +
                     listed(shown)};
  }
  HubChoice choice;
  const bool has_index = weights.size() > 1 || !include.empty();
  choice.files = filtered(files, [&](const std::string& name) {
    return is_companion(name) && (has_index || !name.ends_with(".index.json"));
  });
  for (HubFile& file : weights)
    if (!is_companion(file.name)) choice.files.push_back(std::move(file));
  return choice;
}

}  // namespace sluice
