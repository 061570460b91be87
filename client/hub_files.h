// The files of a model on the hub, and which of them are worth downloading.
#pragma once

#include "base/result.h"
#include "client/hub_spec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

constexpr std::uint64_t kHubFileBytesMax = std::uint64_t{1} << 46;

struct HubFile {
  std::string name;  ///< with slashes; may be put behind a folder's path
  /// Both or neither, in listings of hubs that say less.
  std::optional<std::uint64_t> size;
  std::string digest;  ///< SHA-256 of a large file, Git's SHA-1 of a small one; hexadecimal
};

struct HubListing {
  std::string commit;
  std::vector<HubFile> files;
};

/// Reads the answer to GET /api/models/ORG/NAME/revision/REV?blobs=true. Nothing in it is trusted:
/// names that leave a folder, sizes and digests that are none are refused. Errors: data_loss.
Result<HubListing> parse_hub_listing(std::string_view body);

/// Why a name may not become a path below a folder; empty: it may.
std::string fault_of_name(std::string_view name);

/// An ETag without its quotes as a digest (40 or 64 lower-case hexadecimal digits); empty: it is
/// none.
std::string digest_of_etag(std::string_view etag);

struct HubChoice {
  std::vector<HubFile> files;
  bool is_gguf = false;  ///< one GGUF file; otherwise a folder in Hugging Face's format
};

/// What to download.
///   a folder in Hugging Face's format, where there are *.safetensors: those, in one format and
///   once, with their configuration, tokenizer and templates
///   else one GGUF file: the only one, or the one of `spec.quantization`
///   include   shell patterns for names (a star takes slashes, too): they choose the weights
/// Errors: not_found (nothing to serve, or nothing matches), invalid_argument (several GGUF files);
/// both list what there is, with sizes.
Result<HubChoice> choose_files(const std::vector<HubFile>& files,
                               const HubSpec& spec,
                               const std::vector<std::string>& include);

}  // namespace sluice
