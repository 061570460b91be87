#include "server/model_paths.h"

#include <filesystem>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

Error bad_models(std::string message) {
  return {ErrorCode::invalid_argument, std::move(message)};
}

constexpr std::string_view kHub = "hf:";

Error not_downloaded(const std::string& model) {
  return bad_models(model + ": the server does not download; run sluice pull " + model +
                    " first, and serve the path that it prints");
}

}  // namespace

Result<std::string> shipped_model(const std::string& program) {
  std::filesystem::path folder = program;
  while (folder.has_relative_path()) {
    folder = folder.parent_path();
    // In the sources, and where it is installed.
    for (const auto& near : {folder, folder / "share" / "sluice"}) {
      auto candidate = near / "models" / "shipped" / "brook";
      if (std::filesystem::exists(candidate / "config.json")) return candidate.string();
    }
  }
  return Error{ErrorCode::not_found,
               "the shipped model models/shipped/brook is not near " + program};
}

std::string model_name_of(const std::string& path) {
  std::filesystem::path last = std::filesystem::path(path).lexically_normal();
  if (!last.has_filename()) last = last.parent_path();
  const auto folder = last.parent_path();  // a snapshot of the cache is called as what it is of
  if (folder.filename() == "snapshots" && folder.has_parent_path()) last = folder.parent_path();
  std::string name = last.extension() == ".gguf" ? last.stem() : last.filename();
  constexpr std::string_view kCached = "models--";
  if (!name.starts_with(kCached)) return name;
  name.erase(0, kCached.size());
  if (std::size_t cut = name.find("--"); cut != std::string::npos) name.replace(cut, 2, "/");
  return name;
}

Result<std::vector<NamedPath>> model_paths(const ServeOptions& options,
                                           const std::string& program) {
  std::vector<NamedPath> models;
  if (options.models.empty() && options.paths.empty()) {
    auto path = shipped_model(program);
    if (!path)
      return Error{path.error().code, path.error().message + "; name one with --model NAME=PATH"};
    models.push_back({"brook", *path});
  }
  if (!options.served_model_name.empty() && options.paths.size() != 1)
    return bad_models("--served-model-name " + options.served_model_name +
                      ": names the model at one PATH, and there are " +
                      std::to_string(options.paths.size()) + "; use --model NAME=PATH");
  for (const std::string& path : options.paths)
    models.push_back(
        {options.served_model_name.empty() ? model_name_of(path) : options.served_model_name,
         path});
  for (const std::string& text : options.models) {
    std::size_t equals = text.find('=');
    if (text.starts_with(kHub)) return not_downloaded(text);
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
      return bad_models("--model " + text + ": expected NAME=PATH");
    models.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  for (const NamedPath& model : models)
    if (model.path.starts_with(kHub)) return not_downloaded(model.path);
  for (std::size_t i = 0; i < models.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (models[k].name == models[i].name)
        return bad_models("the models at " + models[k].path + " and " + models[i].path +
                          " have the same name " + models[i].name + "; use --model NAME=PATH");
    }
  }
  return models;
}

}  // namespace sluice
