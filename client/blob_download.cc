#include "client/blob_download.h"

#include "client/file_lock.h"
#include "client/terminal_text.h"
#include "net/digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kRefusalBytesMax = std::size_t{64} << 10;

std::optional<std::uint64_t> size_of_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

ContentDigest digest_for(const HubFile& file) {
  return file.digest.size() == 64 ? ContentDigest::sha256() : ContentDigest::git_blob(*file.size);
}

/// Adds what stands in a file, from its beginning. False: it cannot be read, or `goes_on` says so.
template <class GoesOn>
bool add_file(ContentDigest& digest, int descriptor, GoesOn goes_on) {
  std::vector<char> piece(kPieceBytes);
  off_t at = 0;
  while (goes_on()) {
    const ssize_t size = ::pread(descriptor, piece.data(), piece.size(), at);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return size == 0;
    digest.add({piece.data(), static_cast<std::size_t>(size)});
    at += size;
  }
  return false;
}

/// The part of a file that is there, and the digest of it.
class Partial {
 public:
  Partial(const HubFile& file, std::string path)
      : file_(file), path_(std::move(path)), digest_(digest_for(file)) {}
  ~Partial() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool is_whole() const { return size_ == *file_.size; }
  /// Some of it is from an earlier try.
  [[nodiscard]] bool is_resumed() const { return is_resumed_; }

  Result<void> open(const Interrupts& interrupts) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    struct stat info {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) return failed("be opened");
    size_ = static_cast<std::uint64_t>(info.st_size);
    if (size_ > *file_.size) return clear();
    is_resumed_ = size_ > 0;
    if (add_file(digest_, descriptor_, [&] { return interrupts.pause(Duration::zero()); }))
      return {};
    if (!interrupts.pause(Duration::zero())) return Error{ErrorCode::cancelled, "interrupted"};
    return failed("be read");
  }

  /// Begins anew.
  Result<void> clear() {
    if (::ftruncate(descriptor_, 0) != 0) return failed("be emptied");
    size_ = 0;
    is_resumed_ = false;
    digest_ = digest_for(file_);
    return {};
  }

  Result<void> append(std::string_view piece) {
    if (piece.size() > *file_.size - size_)
      return Error{ErrorCode::data_loss,
                   file_.name + ": more comes than the " + std::to_string(*file_.size) +
                       " bytes it should have"};
    while (!piece.empty()) {
      const ssize_t written =
          ::pwrite(descriptor_, piece.data(), piece.size(), static_cast<off_t>(size_));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return failed("be written");
      digest_.add(piece.substr(0, static_cast<std::size_t>(written)));
      size_ += static_cast<std::uint64_t>(written);
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  /// To be called once it is whole. False: the bytes are wrong, and thrown away.
  Result<bool> verify() {
    found_ = digest_.hex();
    if (found_ == file_.digest) return true;
    if (Result<void> cleared = clear(); !cleared) return cleared.error();
    return false;
  }
  [[nodiscard]] const std::string& found() const { return found_; }

  Result<void> name(const std::string& path) {
    if (::fsync(descriptor_) != 0) return failed("be written");
    if (::rename(path_.c_str(), path.c_str()) != 0) return failed("be renamed to " + path);
    return {};
  }

 private:
  [[nodiscard]] Error failed(const std::string& what) const {
    return {ErrorCode::resource_exhausted,
            path_ + ": cannot " + what + ": " + std::strerror(errno)};
  }

  const HubFile& file_;
  std::string path_;
  ContentDigest digest_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  bool is_resumed_ = false;
  std::string found_;
};

/// How a try ended that brought no error which ends all.
struct Try {
  std::optional<Error> error;  ///< none: every byte has come
  Duration wait{};             ///< before the next one, as the server wishes
};

bool may_pass(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::deadline_exceeded ||
         error.code == ErrorCode::not_found;
}

Duration retry_after(const HttpHead& head) {
  constexpr std::uint64_t kLongestS = 60;
  const std::string_view text = head.header("retry-after");
  std::uint64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(std::min(seconds, kLongestS));
}

/// One request for what is missing.
Result<Try> try_once(Partial& partial,
                     const HubFile& file,
                     HttpCall call,
                     const DownloadTools& tools) {
  call.offset = partial.size();
  std::string refused;
  bool is_begun = false;
  auto sink = [&](const HttpHead& head, std::string_view piece) -> Result<void> {
    if (head.status != 200 && head.status != 206) {
      refused += piece.substr(0, kRefusalBytesMax - std::min(kRefusalBytesMax, refused.size()));
      return {};
    }
    if (!is_begun && head.status == 200 && call.offset > 0) {  // knows no ranges
      if (Result<void> cleared = partial.clear(); !cleared) return cleared;
    }
    if (!is_begun && head.status == 206) {
      const auto range = parse_content_range(head.header("content-range"));
      if (!range || range->first != call.offset || (range->size && *range->size != *file.size))
        return Error{ErrorCode::data_loss,
                     head.url + ": asked for the bytes from " + std::to_string(call.offset) +
                         " of " + std::to_string(*file.size) + ", and sends \"" +
                         shown_line(head.header("content-range"), 60) + "\""};
    }
    is_begun = true;
    if (Result<void> written = partial.append(piece); !written) return written;
    tools.progress.set(partial.size());
    return {};
  };
  Result<HttpHead> head = tools.client.run(call, sink);
  if (!head) {
    if (!may_pass(head.error())) return head.error();
    return Try{head.error(), {}};
  }
  if (head->status == 416) {  // the part that is here is none of theirs
    if (Result<void> cleared = partial.clear(); !cleared) return cleared.error();
    return Try{tools.refusal(*head, refused), {}};
  }
  if (head->status == 408 || head->status == 429 || head->status >= 500)
    return Try{tools.refusal(*head, refused), retry_after(*head)};
  if (head->status != 200 && head->status != 206) return tools.refusal(*head, refused);
  if (!partial.is_whole())
    return Try{Error{ErrorCode::unavailable, head->url + ": the answer ended too early"}, {}};
  return Try{};
}

/// Requests until every byte is there.
Result<void> complete(Partial& partial,
                      const HubFile& file,
                      const HttpCall& call,
                      const DownloadTools& tools) {
  constexpr Duration kFirstWait = std::chrono::milliseconds(500);
  constexpr Duration kLongestWait = std::chrono::seconds(16);
  std::uint32_t failures = 0;
  Duration wait = kFirstWait;
  while (!partial.is_whole()) {
    const std::uint64_t before = partial.size();
    Result<Try> tried = try_once(partial, file, call, tools);
    if (!tried) return tried.error();
    if (!tried->error) continue;
    if (partial.size() > before) {
      failures = 0;
      wait = kFirstWait;
    }
    if (++failures > tools.retries) return *tried->error;
    tools.progress.say(tried->error->message + "; trying again");
    if (!tools.interrupts.pause(std::max(wait, tried->wait)))
      return Error{ErrorCode::cancelled, "interrupted"};
    wait = std::min(wait * 2, kLongestWait);
  }
  return {};
}

}  // namespace

bool is_complete(const HubFile& file, const BlobPlace& place, const Interrupts& interrupts) {
  if (size_of_file(place.path) != file.size) return false;
  if (place.is_named_by_content) return true;
  ContentDigest digest = digest_for(file);
  const int descriptor = ::open(place.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool is_read =
      add_file(digest, descriptor, [&] { return interrupts.pause(Duration::zero()); });
  ::close(descriptor);
  return is_read && digest.hex() == file.digest;
}

std::uint64_t partial_bytes(const HubFile& file, const BlobPlace& place) {
  const std::uint64_t size = size_of_file(place.partial).value_or(0);
  return size <= *file.size ? size : 0;
}

Result<void> download(const HubFile& file,
                      const BlobPlace& place,
                      const HttpCall& call,
                      const DownloadTools& tools) {
  tools.progress.begin(file.name, *file.size);
  for (const std::string& path : {place.path, place.lock})
    if (Result<void> made = make_parent(path); !made) return made;
  auto lock = FileLock::take(place.lock, tools.interrupts, [&] {
    tools.progress.say(file.name + ": another process downloads it; waiting for that");
  });
  if (!lock) return lock.error();
  if (is_complete(file, place, tools.interrupts)) {
    tools.progress.end();
    return {};
  }
  Partial partial(file, place.partial);
  if (Result<void> opened = partial.open(tools.interrupts); !opened) return opened;
  tools.progress.set(partial.size());
  for (;;) {
    if (Result<void> done = complete(partial, file, call, tools); !done) return done;
    const bool is_resumed = partial.is_resumed();
    Result<bool> right = partial.verify();
    if (!right) return right.error();
    if (*right) break;
    // An earlier try may have left wrong bytes; what came in one go is as the server has it.
    if (!is_resumed)
      return Error{ErrorCode::data_loss,
                   file.name + ": the bytes that came have the digest " + partial.found() +
                       ", but the hub says " + file.digest +
                       "; they were thrown away. Try again later, or from another network"};
    tools.progress.say(file.name + ": what an earlier try left is damaged; beginning anew");
  }
  if (Result<void> named = partial.name(place.path); !named) return named;
  tools.progress.end();
  return {};
}

}  // namespace sluice
