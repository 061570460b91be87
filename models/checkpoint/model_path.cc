#include "models/checkpoint/model_path.h"

#include "models/json_fields.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCacheMark = "models--";
constexpr std::string_view kGguf = ".gguf";

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Names in a folder that end so, in order; a folder that cannot be read has none.
std::vector<std::string> names_ending(const std::string& folder, std::string_view end) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), last; !error && at != last; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (std::string_view(name).ends_with(end)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The part of a path behind the last slash, of which one more may follow.
std::string last_part(std::string path) {
  while (path.size() > 1 && path.back() == '/')
    path.pop_back();
  return path.substr(path.find_last_of('/') + 1);
}

/// The snapshot of a folder of Hugging Face's cache that its main branch stands at.
Result<std::string> find_snapshot(const std::string& folder) {
  constexpr std::size_t kRevisionBytesMax = 256;
  const std::string file = folder + "/refs/main";
  Result<std::string> revision = read_file(file, kRevisionBytesMax);
  if (!revision) return revision.error();
  while (!revision->empty() && (revision->back() == '\n' || revision->back() == '\r'))
    revision->pop_back();
  bool is_name = !revision->empty() && *revision != "." && *revision != ".." &&
                 std::all_of(revision->begin(), revision->end(), [](char c) {
                   return c > ' ' && c < 0x7F && c != '/';
                 });
  if (!is_name)
    return Error{ErrorCode::data_loss, file + ": does not name a revision, such as a commit"};
  std::string snapshot = folder + "/snapshots/" + *revision;
  if (!exists(snapshot))
    return Error{ErrorCode::not_found,
                 snapshot + ": is not there, but refs/main names it; download the model again"};
  return snapshot;
}

}  // namespace

Result<ModelPath> find_model(const std::string& path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {  // or cannot be looked at
    std::string why = error ? error.message() : "No such file or directory";
    return Error{ErrorCode::not_found, path + ": " + why};
  }
  if (!fs::is_directory(status)) return ModelPath{WeightsFormat::gguf, path};
  std::string folder = path;
  if (last_part(path).starts_with(kCacheMark) && !exists(path + "/config.json")) {
    Result<std::string> snapshot = find_snapshot(path);
    if (!snapshot) return snapshot.error();
    folder = *snapshot;
  }
  if (!names_ending(folder, ".safetensors").empty() ||
      exists(folder + "/model.safetensors.index.json"))
    return ModelPath{WeightsFormat::safetensors, folder};
  std::vector<std::string> files = names_ending(folder, kGguf);
  if (files.empty()) return ModelPath{WeightsFormat::safetensors, folder};
  if (files.size() == 1) return ModelPath{WeightsFormat::gguf, folder + "/" + files.front()};
  constexpr std::size_t kShown = 10;
  std::string names;
  for (std::size_t i = 0; i < std::min(files.size(), kShown); ++i)
    names += (i == 0 ? "" : ", ") + files[i];
  if (files.size() > kShown) names += ", ...";
  return Error{ErrorCode::invalid_argument,
               folder + ": has " + std::to_string(files.size()) + " GGUF files (" + names +
                   "); name one of them"};
}

}  // namespace sluice
