// Where models of the hub lie on disk and what the environment says about the hub: the layout and
// the variables that Hugging Face's own tools use, so that all share one cache.
#pragma once

#include "base/result.h"
#include "client/hub_spec.h"

#include <functional>
#include <optional>
#include <string>

namespace sluice {

/// What the environment says.
struct HubPlaces {
  std::string endpoint;    ///< HF_ENDPOINT, without a slash at its end
  std::string cache;       ///< HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub
  std::string token;       ///< HF_TOKEN, or what token_file holds; empty: none
  std::string token_file;  ///< HF_TOKEN_PATH, HF_HOME/token, or ~/.cache/huggingface/token
};

/// `variable` gives the value of an environment variable; empty: not set. Reads the token's file.
/// Errors: invalid_argument: no home is known, HF_ENDPOINT is no URL, the token has blanks.
Result<HubPlaces> hub_places(const std::function<std::string(const char*)>& variable);

/// Where a file goes while and after it is downloaded.
struct BlobPlace {
  std::string path;                  ///< complete
  std::string partial;               ///< until then
  std::string lock;                  ///< a file, or a folder, that whoever downloads holds locked
  bool is_named_by_content = false;  ///< what stands at `path` has the digest in its name
};

/// The folder of one model in the cache: blobs/DIGEST, snapshots/COMMIT/NAME (links to blobs) and
/// refs/REVISION (a commit).
class CacheFolder {
 public:
  CacheFolder(const std::string& cache, const HubSpec& spec);

  [[nodiscard]] BlobPlace blob(const std::string& digest) const;
  [[nodiscard]] std::string snapshot(const std::string& commit) const;
  /// Makes the link snapshots/COMMIT/NAME to a blob; another that stands there is replaced.
  /// Errors: resource_exhausted, naming the path.
  [[nodiscard]] Result<void> link(const std::string& commit,
                                  const std::string& name,
                                  const std::string& digest) const;
  /// Lets a branch or tag name the commit; a commit by itself needs no such file. Errors: as
  /// `link`.
  [[nodiscard]] Result<void> set_revision(const std::string& revision,
                                          const std::string& commit) const;

 private:
  std::string folder_;
  std::string locks_;
};

/// The place of a file in a folder of the user's own.
BlobPlace place_in_folder(const std::string& folder,
                          const std::string& name,
                          const std::string& digest);

/// Makes the folder that a path lies in. Errors: resource_exhausted, naming it.
Result<void> make_parent(const std::string& path);

}  // namespace sluice
