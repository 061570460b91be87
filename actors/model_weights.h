// Which weights the lanes of a model run: what they compute, from which files they came, and which
// requests depend on them.
#pragma once

#include "base/result.h"
#include "models/checkpoint/file_digest.h"
#include "models/registry.h"
#include "worker/protocol.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace sluice {

/// Weights are named by their fingerprint (`ModelInfo::fingerprint`): equal means equal bits.
/// Thread-safe; no call waits for anybody.
class ModelWeights {
 public:
  /// Why a worker that says this cannot serve what the front was started with; empty: it can.
  ///   card  of the model, as the front has read it: tokenizer, vocabulary and context
  [[nodiscard]] std::string refuse(const wire::Ready& ready, const ModelCard& card) const;
  /// A worker serves. True: other weights than those that were served last.
  bool serve(const wire::Ready& ready);
  /// Of the lane that became ready last; 0: none ever was.
  [[nodiscard]] std::uint64_t last() const;

  /// The files that a worker has read.
  ///   begun  when it was started. A file that was changed less than two seconds before is not
  ///          remembered: it may have been written to again within one tick of the system's clock
  void remember(const std::vector<FileDigest>& files, std::chrono::system_clock::time_point begun);
  /// What the next worker need not hash again.
  [[nodiscard]] std::vector<FileDigest> known_files() const;

  /// A request has got its first tokens from these weights, and has to get all others there.
  void bind(std::uint64_t weights);
  /// It is over.
  void release(std::uint64_t weights);
  /// How many depend on them.
  [[nodiscard]] std::size_t bound(std::uint64_t weights) const;

 private:
  static constexpr std::size_t kGoldensKept = 64;

  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, std::uint64_t> goldens_;  ///< what each must answer to the golden prompt
  std::vector<FileDigest> files_;
  std::map<std::uint64_t, std::size_t> bound_;
};

/// As clients see it: "fp_" and eight digits.
[[nodiscard]] std::string fingerprint_text(std::uint64_t weights);

}  // namespace sluice
