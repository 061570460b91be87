#include "actors/model_weights.h"

#include "base/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr auto kSettled = std::chrono::seconds(2);

std::string unfit(const std::string& what) {
  return "has loaded weights " + what + "; the server has to be restarted to serve them";
}

}  // namespace

std::string ModelWeights::refuse(const wire::Ready& ready, const ModelCard& card) const {
  if (ready.vocabulary != card.vocabulary)
    return unfit("with a vocabulary of " + std::to_string(ready.vocabulary) +
                 " tokens, the server was started with one of " + std::to_string(card.vocabulary));
  if (ready.context < card.context)
    return unfit("with a context of " + std::to_string(ready.context) +
                 " tokens, the server was started with one of " + std::to_string(card.context));
  if (ready.tokenizer != card.tokenizer_hash)
    return unfit("beside another tokenizer.json than the one the server was started with");
  std::lock_guard guard(mutex_);
  auto known = goldens_.find(ready.fingerprint);
  if (known != goldens_.end() && known->second != ready.golden)
    return "gives other tokens in its self-test than a worker of the same fingerprint did before";
  return {};
}

bool ModelWeights::serve(const wire::Ready& ready) {
  std::lock_guard guard(mutex_);
  goldens_[ready.fingerprint] = ready.golden;
  if (goldens_.size() > kGoldensKept) {
    auto other = goldens_.begin();
    if (other->first == ready.fingerprint) ++other;
    goldens_.erase(other);
  }
  bool changed = last_ != 0 && last_ != ready.fingerprint;
  last_ = ready.fingerprint;
  return changed;
}

std::uint64_t ModelWeights::last() const {
  std::lock_guard guard(mutex_);
  return last_;
}

void ModelWeights::remember(const std::vector<FileDigest>& files,
                            std::chrono::system_clock::time_point begun) {
  auto settled = std::chrono::nanoseconds((begun - kSettled).time_since_epoch()).count();
  std::lock_guard guard(mutex_);
  files_.clear();
  std::copy_if(files.begin(), files.end(), std::back_inserter(files_), [&](const FileDigest& one) {
    return one.file.changed_ns < settled && one.file.modified_ns < settled;
  });
}

std::vector<FileDigest> ModelWeights::known_files() const {
  std::lock_guard guard(mutex_);
  return files_;
}

void ModelWeights::bind(std::uint64_t weights) {
  std::lock_guard guard(mutex_);
  ++bound_[weights];
}

void ModelWeights::release(std::uint64_t weights) {
  std::lock_guard guard(mutex_);
  auto found = bound_.find(weights);
  CHECK(found != bound_.end());
  if (--found->second == 0) bound_.erase(found);
}

std::size_t ModelWeights::bound(std::uint64_t weights) const {
  std::lock_guard guard(mutex_);
  auto found = bound_.find(weights);
  return found == bound_.end() ? 0 : found->second;
}

std::string fingerprint_text(std::uint64_t weights) {
  return fmt::format("fp_{:08x}", static_cast<std::uint32_t>(weights));
}

}  // namespace sluice
