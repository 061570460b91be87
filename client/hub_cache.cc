#include "client/hub_cache.h"

#include "client/terminal_text.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTokenBytesMax = 1024;

Error cannot(const std::string& path, const std::string& what, const std::error_code& error) {
  return {ErrorCode::resource_exhausted, path + ": cannot " + what + ": " + error.message()};
}

/// A name beside `path` that only this process uses.
std::string beside(const std::string& path) {
  return path + "." + std::to_string(::getpid()) + ".new";
}

std::string read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string token(kTokenBytesMax, '\0');
  file.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<std::size_t>(file.gcount()));
  return token;
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/')
    path.pop_back();
  return path;
}

}  // namespace

Result<HubPlaces> hub_places(const std::function<std::string(const char*)>& variable) {
  std::string home = variable("HF_HOME");
  if (home.empty()) {
    std::string caches = variable("XDG_CACHE_HOME");
    if (caches.empty() && !variable("HOME").empty()) caches = variable("HOME") + "/.cache";
    if (caches.empty() && variable("HF_HUB_CACHE").empty())
      return Error{ErrorCode::invalid_argument,
                   "HOME is not set; say by HF_HOME where models shall lie"};
    home = caches + "/huggingface";
  }
  HubPlaces places;
  places.cache = variable("HF_HUB_CACHE");
  if (places.cache.empty()) places.cache = home + "/hub";
  places.cache = without_slashes(places.cache);
  places.endpoint = variable("HF_ENDPOINT");
  if (places.endpoint.empty()) places.endpoint = "https://huggingface.co";
  while (places.endpoint.ends_with('/'))
    places.endpoint.pop_back();
  if (!places.endpoint.starts_with("https://") && !places.endpoint.starts_with("http://"))
    return Error{ErrorCode::invalid_argument,
                 "HF_ENDPOINT " + shown_line(places.endpoint, 100) +
                     " is no URL such as https://huggingface.co"};
  places.token_file = variable("HF_TOKEN_PATH");
  if (places.token_file.empty()) places.token_file = home + "/token";
  places.token = variable("HF_TOKEN");
  const bool from_file = places.token.empty();
  if (from_file) places.token = read_token(places.token_file);
  auto blank = [](char c) { return c <= ' ' || c >= 0x7F; };
  while (!places.token.empty() && blank(places.token.back()))
    places.token.pop_back();
  if (std::any_of(places.token.begin(), places.token.end(), blank))
    return Error{ErrorCode::invalid_argument,
                 (from_file ? places.token_file : "HF_TOKEN") +
                     std::string(" is no token: it has blanks or control characters")};
  return places;
}

CacheFolder::CacheFolder(const std::string& cache, const HubSpec& spec) {
  const std::string name = "models--" + spec.organization + "--" + spec.name;
  folder_ = cache + "/" + name;
  locks_ = cache + "/.locks/" + name;
}

BlobPlace CacheFolder::blob(const std::string& digest) const {
  const std::string path = folder_ + "/blobs/" + digest;
  return {path, path + ".incomplete", locks_ + "/" + digest + ".lock", true};
}

std::string CacheFolder::snapshot(const std::string& commit) const {
  return folder_ + "/snapshots/" + commit;
}

Result<void> CacheFolder::link(const std::string& commit,
                               const std::string& name,
                               const std::string& digest) const {
  const std::string path = snapshot(commit) + "/" + name;
  std::string target = "../../blobs/" + digest;
  for (std::ptrdiff_t i = std::count(name.begin(), name.end(), '/'); i > 0; --i)
    target.insert(0, "../");
  if (Result<void> made = make_parent(path); !made) return made;
  std::error_code error;
  if (fs::is_symlink(path, error) && fs::read_symlink(path, error) == target) return {};
  const std::string fresh = beside(path);
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, path, error);
  if (error) return cannot(path, "be made", error);
  return {};
}

Result<void> CacheFolder::set_revision(const std::string& revision,
                                       const std::string& commit) const {
  if (revision == commit) return {};
  const std::string path = folder_ + "/refs/" + revision;
  if (Result<void> made = make_parent(path); !made) return made;
  const std::string fresh = beside(path);
  std::error_code error;
  std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
  file << commit;
  file.close();
  if (!file) error = std::make_error_code(std::errc::io_error);
  if (!error) fs::rename(fresh, path, error);
  if (error) return cannot(path, "be written", error);
  return {};
}

BlobPlace place_in_folder(const std::string& folder,
                          const std::string& name,
                          const std::string& digest) {
  const std::string path = folder + "/" + name;
  return {path, path + "." + digest.substr(0, 16) + ".incomplete", folder, false};
}

Result<void> make_parent(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  if (folder.empty()) return {};
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return cannot(folder, "be made", error);
  return {};
}

}  // namespace sluice
