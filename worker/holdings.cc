#include "worker/holdings.h"

#include <dirent.h>

namespace sluice {

class Holdings::Folder {
 public:
  explicit Folder(const char* path) : folder_(::opendir(path)) {}
  ~Folder() {
    if (folder_ != nullptr) ::closedir(folder_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Entries now; 0: it cannot be read.
  [[nodiscard]] std::uint32_t count() const {
    if (folder_ == nullptr) return 0;
    ::rewinddir(folder_);
    std::uint32_t entries = 0;
    while (const dirent* entry = ::readdir(folder_))
      entries += entry->d_name[0] != '.' ? 1 : 0;
    return entries;
  }

 private:
  DIR* folder_;
};

Holdings::Holdings()
    : descriptors_(std::make_unique<Folder>("/proc/self/fd")),
      threads_(std::make_unique<Folder>("/proc/self/task")) {}
Holdings::~Holdings() = default;

Holdings::Counts Holdings::at(TimePoint now) {
  if (!counted_ || now - *counted_ >= kEvery) {
    counted_ = now;
    counts_ = {.descriptors = descriptors_->count(), .threads = threads_->count()};
  }
  return counts_;
}

}  // namespace sluice
