#include "models/checkpoint/mapped_file.h"

#include "base/hash.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

FileIdentity identity_of(const struct stat& status) {
  auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {status.st_dev,
          status.st_ino,
          static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

}  // namespace

MappedFile::~MappedFile() {
  if (bytes_ != nullptr) munmap(const_cast<std::byte*>(bytes_), size_bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string MappedFile::name() const {
  return path_.substr(path_.find_last_of('/') + 1);
}

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  auto system_error = [&](const char* what) {
    ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::data_loss;
    return Error{code, path + ": " + what + ": " + std::strerror(errno)};
  };
  std::unique_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) return system_error("open");
  struct stat status {};
  if (fstat(file->descriptor_, &status) != 0) return system_error("fstat");
  if (!S_ISREG(status.st_mode))
    return Error{ErrorCode::data_loss, path + ": is not a regular file"};
  file->digest_.file = identity_of(status);
  file->links_ = status.st_nlink;
  file->size_bytes_ = static_cast<std::size_t>(status.st_size);
  if (file->size_bytes_ == 0) return file;
  // Shared, so that all workers of a host use the same pages.
  void* address = mmap(nullptr, file->size_bytes_, PROT_READ, MAP_SHARED, file->descriptor_, 0);
  if (address == MAP_FAILED) return system_error("mmap");
  file->bytes_ = static_cast<const std::byte*>(address);
  return file;
}

bool MappedFile::is_intact() const {
  // A new file that takes the name of this one changes `changed_ns`, too, and no byte of it: but it
  // takes a link away. Who writes and puts the time of modification back cannot put this one back.
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return false;
  FileIdentity now = identity_of(status);
  bool renamed = status.st_nlink != links_;
  return now.size_bytes == digest_.file.size_bytes && now.modified_ns == digest_.file.modified_ns &&
         (renamed || now.changed_ns == digest_.file.changed_ns);
}

Result<void> MappedFile::page_in(const std::function<void(std::uint64_t)>& on_progress,
                                 std::span<const FileDigest> known) {
  constexpr std::size_t kPieceBytes = 16 << 20;  // a multiple of any page
  constexpr std::size_t kPageBytes = 4096;       // the smallest
  auto same = std::find_if(known.begin(), known.end(), [this](const FileDigest& before) {
    return before.file == digest_.file;
  });
  Hasher hasher;
  for (std::size_t at = 0; at < size_bytes_; at += kPieceBytes) {
    std::size_t size = std::min(kPieceBytes, size_bytes_ - at);
    // The disk reads the next piece while this one is hashed.
    if (std::size_t next = at + size; next < size_bytes_)
      ::madvise(const_cast<std::byte*>(bytes_) + next,
                std::min(kPieceBytes, size_bytes_ - next),
                MADV_WILLNEED);
    bool there = ::madvise(const_cast<std::byte*>(bytes_) + at, size, MADV_POPULATE_READ) == 0;
    if (!there && errno == EINVAL) {  // a kernel before 5.14, which does not tell of errors
      there = true;
      for (std::size_t page = at; page < at + size; page += kPageBytes)
        (void)*static_cast<const volatile std::byte*>(bytes_ + page);
    }
    if (!there)
      return Error{ErrorCode::data_loss,
                   path_ + ": bytes " + std::to_string(at) + " to " + std::to_string(at + size) +
                       " of " + std::to_string(size_bytes_) +
                       " cannot be read: " + std::strerror(errno)};
    if (same == known.end()) hasher.add(bytes_ + at, size);
    if (on_progress) on_progress(size);
  }
  if (!is_intact()) return Error{ErrorCode::data_loss, path_ + ": was changed while it was read"};
  digest_.digest = same == known.end() ? hasher.value() : same->digest;
  return {};
}

}  // namespace sluice
