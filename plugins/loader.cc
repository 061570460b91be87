#include "plugins/loader.h"

#include "base/utf8.h"
#include "net/digest.h"
#include "plugins/hook.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

/// The part that every version of the table has.
constexpr std::size_t kTableBytesMin = offsetof(sluice_plugin, on_admission);
constexpr std::size_t kManifestBytesMax = 1 << 20;

Error refuse(const std::string& path, const std::string& why) {
  return {ErrorCode::invalid_argument, path + ": " + why};
}

Error system_error(const std::string& path) {
  return {errno == ENOENT ? ErrorCode::not_found : ErrorCode::invalid_argument,
          path + ": " + std::strerror(errno)};
}

/// An open descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string octal(mode_t mode) {
  std::string text = "0000";
  for (std::size_t i = 0; i < 4; ++i)
    text[3 - i] = static_cast<char>('0' + (mode >> (3 * i) & 7));
  return text;
}

bool is_our_group(gid_t group) {
  if (group == 0 || group == ::getegid()) return true;
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
  count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  return count > 0 &&
         std::find(groups.begin(), groups.begin() + count, group) != groups.begin() + count;
}

/// Whether only root and we can change it.
Result<void> check_trust(const std::string& path, const struct stat& status) {
  bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX);
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return refuse(path,
                  "belongs to user " + std::to_string(status.st_uid) +
                      ", only what belongs to root or to user " + std::to_string(::geteuid()) +
                      " is loaded");
  }
  if ((status.st_mode & S_IWOTH) && !sticky) {
    return refuse(path,
                  "is writable for everybody (mode " + octal(status.st_mode) +
                      "), so anybody could replace the plugin");
  }
  if ((status.st_mode & S_IWGRP) && !sticky && !is_our_group(status.st_gid)) {
    return refuse(path,
                  "is writable for group " + std::to_string(status.st_gid) + " (mode " +
                      octal(status.st_mode) + "), which is neither root's nor ours");
  }
  return {};
}

/// Opens `name`, which is no path, in `directory`.
Result<Descriptor> open_in(int directory,
                           std::string_view name,
                           int flags,
                           const std::string& shown) {
  Descriptor opened(::openat(directory, std::string(name).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
  if (opened.get() >= 0) return opened;
  // O_DIRECTORY without following says ENOTDIR of a link.
  struct stat status {};
  bool looked = errno == ELOOP || errno == ENOTDIR;
  if (looked &&
      ::fstatat(directory, std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(status.st_mode))
      return refuse(shown, "is a symbolic link; name the file that it leads to");
    return refuse(shown, "is no directory");
  }
  return system_error(shown);
}

Result<Descriptor> open_directory(const std::string& path) {
  Descriptor opened(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) return system_error(path);
  return opened;
}

Result<void> check_directory(const Descriptor& directory, const std::string& path) {
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return system_error(path);
  return check_trust(path, status);
}

struct OpenedFile {
  Descriptor descriptor;
  std::string path;
  struct stat status;
};

/// Walks from a directory to a file below it, one name after the other, so that neither ".." nor a
/// link leads out of it.
Result<OpenedFile> open_file(const PluginFile& file) {
  std::string_view rest = file.path;
  std::string shown = file.directory.empty() ? "." : file.directory;
  if (file.path.starts_with('/')) {
    auto slash = rest.rfind('/');
    shown = slash == 0 ? "/" : file.path.substr(0, slash);
    rest.remove_prefix(slash + 1);
  }
  if (rest.empty() || file.path.find('\0') != std::string::npos)
    return refuse(excerpt(file.path), "is not the path of a file");
  auto directory = open_directory(shown);
  if (!directory) return directory.error();
  while (true) {
    if (auto trusted = check_directory(*directory, shown); !trusted) return trusted.error();
    auto slash = rest.find('/');
    std::string_view name = rest.substr(0, slash);
    if (name == "..")
      return refuse(file.path, "leads out of the directory of plugins, " + file.directory);
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
    if (name.empty() || name == ".") continue;
    shown += "/" + std::string(name);
    auto next = open_in(directory->get(), name, O_PATH | O_DIRECTORY, shown);
    if (!next) return next.error();
    *directory = std::move(*next);
  }
  if (rest.empty() || rest == ".") return refuse(file.path, "is not the path of a file");
  shown += (shown.ends_with('/') ? "" : "/") + std::string(rest);
  // Not to wait for the other end, should it be a pipe.
  auto opened = open_in(directory->get(), rest, O_RDONLY | O_NONBLOCK | O_NOCTTY, shown);
  if (!opened) return opened.error();
  struct stat status {};
  if (::fstat(opened->get(), &status) != 0) return system_error(shown);
  if (!S_ISREG(status.st_mode)) return refuse(shown, "is not a regular file");
  if (auto trusted = check_trust(shown, status); !trusted) return trusted.error();
  return OpenedFile{std::move(*opened), std::move(shown), status};
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return text;
}

Result<void> check_digest(const OpenedFile& file, const std::string& pin) {
  if (pin.empty()) return {};
  std::string wanted = lower(pin);
  if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
    return refuse(file.path, "its sha256 has to be 64 hexadecimal digits, not " + excerpt(pin));
  ContentDigest digest = ContentDigest::sha256();
  std::vector<char> buffer(std::size_t{1} << 16);
  for (off_t at = 0;;) {
    ssize_t got = ::pread(file.descriptor.get(), buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(file.path);
    if (got == 0) break;
    digest.add({buffer.data(), static_cast<std::size_t>(got)});
    at += got;
  }
  std::string found = digest.hex();
  if (found == wanted) return {};
  return refuse(file.path, "has the sha256 " + found + ", the configuration wants " + wanted);
}

/// What is loaded, by the file it came from. The descriptors stay open for ever: the dynamic linker
/// knows a library by the name it was opened by, here /proc/self/fd/N, so the number must not be
/// given to another file; and as long as a file is open nobody else gets its inode.
struct LoadedFile {
  void* handle = nullptr;
  struct stat status {};
};

bool is_unchanged(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

Result<void*> load(OpenedFile& file) {
  using Files = std::map<std::pair<dev_t, ino_t>, LoadedFile>;
  static std::mutex mutex;
  static Files& files = *new Files;  // threads of plugins may outlive statics
  std::lock_guard lock(mutex);
  auto& known = files[{file.status.st_dev, file.status.st_ino}];
  if (known.handle) {
    if (is_unchanged(known.status, file.status)) return known.handle;
    return refuse(file.path,
                  "was written to after it had been loaded, and its old code may still run; put a "
                  "new file in its place instead");
  }
  std::string name = "/proc/self/fd/" + std::to_string(file.descriptor.get());
  known.handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!known.handle) {
    const char* why = ::dlerror();
    files.erase({file.status.st_dev, file.status.st_ino});
    return refuse(file.path, std::string("cannot be loaded: ") + (why ? why : "no reason given"));
  }
  known.status = file.status;
  file.descriptor.release();
  return known.handle;
}

std::string version_text(std::uint32_t abi) {
  return std::to_string(abi >> 16) + "." + std::to_string(abi & 0xFFFF);
}

Result<void> check_version(const std::string& path, std::uint32_t abi) {
  if (abi >> 16 == SLUICE_PLUGIN_ABI_MAJOR && (abi & 0xFFFF) <= SLUICE_PLUGIN_ABI_MINOR) return {};
  return refuse(path,
                "needs plugin interface " + version_text(abi) + ", this server has " +
                    version_text(SLUICE_PLUGIN_ABI));
}

/// The function of each hook, as far as the plugin has it.
std::array<bool, kInterfaceHooks> functions_of(const sluice_plugin& table) {
  return {table.on_admission != nullptr,
          table.on_preprocess != nullptr,
          table.on_route != nullptr,
          table.on_output != nullptr,
          table.on_postprocess != nullptr,
          table.execute != nullptr,
          table.observe != nullptr};
}

/// What contradicts itself in a table, or nothing.
std::string fault_of(const sluice_plugin& table) {
  if (table.abi_major != SLUICE_PLUGIN_ABI_MAJOR || table.abi_minor > SLUICE_PLUGIN_ABI_MINOR)
    return "gave a table of another interface than it said";
  if (!table.create || !table.destroy) return "cannot create or destroy instances";
  if (!table.manifest_json.ptr || table.manifest_json.len == 0) return "has no manifest";
  if (table.manifest_json.len > kManifestBytesMax) {
    return "has a manifest of " + std::to_string(table.manifest_json.len) +
           " bytes, the limit is " + std::to_string(kManifestBytesMax);
  }
  if (table.hooks & ~kAllInterfaceHooks)
    return "announces hooks that no interface 1.x has: mask " + std::to_string(table.hooks);
  auto functions = functions_of(table);
  for (std::size_t i = 0; i < functions.size(); ++i)
    if ((table.hooks >> i & 1U) && !functions[i])
      return "announces the hook " + std::string(kHookNames[i]) + " and has no function for it";
  return {};
}

std::string names_of(std::uint32_t hooks) {
  std::string names;
  for (std::size_t i = 0; i < kInterfaceHooks; ++i)
    if (hooks >> i & 1U) names += (names.empty() ? "" : ", ") + std::string(kHookNames[i]);
  return names.empty() ? "none" : names;
}

}  // namespace

Result<std::shared_ptr<const PluginLibrary>> PluginLibrary::open(const PluginFile& wanted) {
  auto file = open_file(wanted);
  if (!file) return file.error();
  if (auto fits = check_digest(*file, wanted.sha256); !fits) return fits.error();
  auto handle = load(*file);
  if (!handle) return handle.error();
  const std::string& path = file->path;
  auto abi = reinterpret_cast<decltype(&sluice_plugin_abi)>(::dlsym(*handle, "sluice_plugin_abi"));
  auto get = reinterpret_cast<decltype(&sluice_plugin_get)>(::dlsym(*handle, "sluice_plugin_get"));
  if (!abi || !get)
    return refuse(
        path, std::string("has no symbol ") + (abi ? "sluice_plugin_get" : "sluice_plugin_abi"));
  std::uint32_t version = abi();
  if (auto fits = check_version(path, version); !fits) return fits.error();
  return of(path, version, get());
}

Result<std::shared_ptr<const PluginLibrary>> PluginLibrary::of(const std::string& name,
                                                               std::uint32_t abi,
                                                               const sluice_plugin* given) {
  if (auto fits = check_version(name, abi); !fits) return fits.error();
  if (!given) return refuse(name, "gave no table");
  if (given->struct_size < kTableBytesMin) {
    return refuse(name,
                  "gave a table of " + std::to_string(given->struct_size) +
                      " bytes, the least is " + std::to_string(kTableBytesMin));
  }
  // An older plugin's table ends early; what it does not have stays null.
  sluice_plugin table{};
  std::memcpy(&table, given, std::min<std::size_t>(given->struct_size, sizeof table));
  if (std::string fault = fault_of(table); !fault.empty()) return refuse(name, fault);
  auto manifest = PluginManifest::parse({table.manifest_json.ptr, table.manifest_json.len});
  if (!manifest) return refuse(name, manifest.error().message);
  if (manifest->hooks != table.hooks) {
    return refuse(name,
                  "manifest: hooks: wanted those of the code, " + names_of(table.hooks) +
                      ", found " + names_of(manifest->hooks));
  }
  return std::shared_ptr<const PluginLibrary>(new PluginLibrary(name, table, std::move(*manifest)));
}

}  // namespace sluice
