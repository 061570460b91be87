#include "plugins/loader.h"

#include "base/utf8.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

// The interface is frozen: members keep their places for as long as the major version lasts.
static_assert(sizeof(sluice_str) == 16);
static_assert(offsetof(sluice_host_api, log) == 16);
static_assert(offsetof(sluice_host_api, call_cancelled) == 48);
static_assert(offsetof(sluice_plugin, name) == 16);
static_assert(offsetof(sluice_plugin, create) == 64);
static_assert(offsetof(sluice_plugin, observe) == 112);

/// The part that every version of the table has.
constexpr std::size_t kTableBytesMin = offsetof(sluice_plugin, on_admission);

Error refuse(const std::string& path, const std::string& why) {
  return {ErrorCode::invalid_argument, path + ": " + why};
}

std::string version_text(std::uint32_t abi) {
  return std::to_string(abi >> 16) + "." + std::to_string(abi & 0xFFFF);
}

bool is_text(sluice_str text) {
  return text.ptr != nullptr && text.len > 0 && text.len <= 256 &&
         is_valid_utf8({text.ptr, text.len});
}

}  // namespace

Result<std::shared_ptr<PluginLibrary>> PluginLibrary::open(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return Error{ErrorCode::not_found, path + ": " + std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return refuse(path, "is not a regular file");
  if (status.st_mode & S_IWOTH)
    return refuse(path, "is writable for everybody, so anybody could replace it");
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return refuse(path, std::string("cannot be loaded: ") + ::dlerror());
  auto abi = reinterpret_cast<decltype(&sluice_plugin_abi)>(::dlsym(handle, "sluice_plugin_abi"));
  auto get = reinterpret_cast<decltype(&sluice_plugin_get)>(::dlsym(handle, "sluice_plugin_get"));
  if (!abi || !get)
    return refuse(
        path, std::string("has no symbol ") + (abi ? "sluice_plugin_get" : "sluice_plugin_abi"));
  std::uint32_t version = abi();
  if (version >> 16 != SLUICE_PLUGIN_ABI_MAJOR || (version & 0xFFFF) > SLUICE_PLUGIN_ABI_MINOR) {
    return refuse(path,
                  "needs plugin interface " + version_text(version) + ", this server has " +
                      version_text(SLUICE_PLUGIN_ABI));
  }
  const sluice_plugin* given = get();
  if (!given) return refuse(path, "gave no table");
  if (given->struct_size < kTableBytesMin) {
    return refuse(path,
                  "gave a table of " + std::to_string(given->struct_size) +
                      " bytes, the least is " + std::to_string(kTableBytesMin));
  }
  // An older plugin's table ends early; what it does not have stays null.
  sluice_plugin table{};
  std::memcpy(&table, given, std::min<std::size_t>(given->struct_size, sizeof table));
  if (!is_text(table.name) || !is_text(table.version))
    return refuse(path, "has no proper name and version");
  if (!table.create || !table.destroy) return refuse(path, "cannot create or destroy instances");
  if ((table.hooks & SLUICE_HOOK_ADMISSION) && !table.on_admission) {
    return refuse(path, "announces an admission hook and has none");
  }
  return std::shared_ptr<PluginLibrary>(new PluginLibrary(path, table));
}

Result<std::unique_ptr<PluginInstance>> PluginInstance::create(
    std::shared_ptr<PluginLibrary> library,
    const sluice_host_api& api,
    sluice_host* host,
    const std::string& config_json) {
  void* self = nullptr;
  sluice_str why{};
  sluice_status status =
      library->table().create(&api, host, {config_json.data(), config_json.size()}, &self, &why);
  if (status != SLUICE_OK) {
    std::string reason =
        why.ptr ? repair_utf8({why.ptr, why.len}) : "status " + std::to_string(status);
    return Error{ErrorCode::invalid_argument,
                 "plugin " + library->name() + " refused its configuration: " + reason};
  }
  return std::unique_ptr<PluginInstance>(new PluginInstance(std::move(library), self));
}

PluginInstance::~PluginInstance() {
  library_->table().destroy(self_);
}

sluice_status PluginInstance::on_admission(sluice_call* call) {
  const sluice_plugin& table = library_->table();
  if (!(table.hooks & SLUICE_HOOK_ADMISSION)) return SLUICE_SKIP;
  return table.on_admission(self_, call);
}

}  // namespace sluice
