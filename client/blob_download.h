// One file of the hub onto the disk: goes on where an earlier try stopped, and gets its name only
// when every byte is known to be right.
#pragma once

#include "base/result.h"
#include "client/download_progress.h"
#include "client/hub_cache.h"
#include "client/hub_files.h"
#include "client/interrupts.h"
#include "net/http_client.h"

#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

/// What the downloads of one pull have in common.
struct DownloadTools {
  HttpClient& client;
  const Interrupts& interrupts;
  DownloadProgress& progress;
  std::uint32_t retries;  ///< tries without a new byte before a file is given up
  /// What an answer with such a status (400 and above) means for the user.
  std::function<Error(const HttpHead&, const std::string& body)> refusal;
};

/// Whether the file stands at its place already. A place that does not say so by its name is read;
/// where a signal interrupts that, the answer is no.
bool is_complete(const HubFile& file, const BlobPlace& place, const Interrupts& interrupts);

/// Bytes of the file that an earlier try has left.
std::uint64_t partial_bytes(const HubFile& file, const BlobPlace& place);

/// Downloads `file`, whose size and digest are known, by `call`; waits while another process does
/// the same. Errors: cancelled (what came stays for the next try), data_loss (the digest is
/// wrong), resource_exhausted (the disk), those of `HttpClient::run` and of `tools.refusal`.
Result<void> download(const HubFile& file,
                      const BlobPlace& place,
                      const HttpCall& call,
                      const DownloadTools& tools);

}  // namespace sluice
