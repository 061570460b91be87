#include "server/entrance.h"

#include "base/check.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace sluice {
namespace {

/// How the options of an entrance are called.
struct Words {
  const char* listen;
  const char* keys;
  const char* name;  ///< as --allow-anonymous calls it
};

constexpr Words kDataWords{"--listen", "--api-keys", "data"};
constexpr Words kManagementWords{"--management-listen", "--admin-keys", "management"};

std::string refusal_of_public(const char* option, const std::string& text, const Words& words) {
  return fmt::format(
      "{} {} is reachable from outside and has no keys; give {} FILE, or --allow-anonymous {} if "
      "everybody may use it",
      option,
      text,
      words.keys,
      words.name);
}

/// The file of keys; without one those are served who have no key.
Result<KeysFile> read_keys(const char* option, const std::string& path) {
  if (!path.empty()) {
    Result<KeysFile> file = read_keys_file(option, path);
    if (!file) return Error{ErrorCode::unavailable, file.error().message};
    return file;
  }
  KeysFile nobody;
  nobody.tenants.emplace_back();
  return nobody;
}

/// Whether a public address may do without keys; logs what that means.
Result<void> check_public(const Words& words,
                          const std::string& text,
                          const ServeOptions& options) {
  const auto& allowed = options.allow_anonymous;
  if (std::find(allowed.begin(), allowed.end(), words.name) == allowed.end())
    return Error{ErrorCode::unavailable, refusal_of_public(words.listen, text, words)};
  if (options.allowed_hosts.empty())
    spdlog::warn(
        "{} {} has no keys and answers to every name; a web page whose name is made to resolve to "
        "it can read what it serves. --allowed-host names its own",
        words.listen,
        text);
  return {};
}

Result<Entrance> make_entrance(const Words& words,
                               const std::vector<std::string>& listen,
                               const std::string& keys_file,
                               const std::vector<std::string>& origins,
                               const ServeOptions& options) {
  Entrance entrance;
  entrance.option = words.listen;
  auto keys = read_keys(words.keys, keys_file);
  if (!keys) return keys.error();
  entrance.keys = std::move(*keys);
  const bool is_anonymous = entrance.keys.keys.empty();
  const auto& allowed = options.allow_anonymous;
  if (!is_anonymous && std::find(allowed.begin(), allowed.end(), words.name) != allowed.end())
    spdlog::warn(
        "--allow-anonymous {} changes nothing: {} has keys, so whoever has none is refused",
        words.name,
        words.listen);
  for (const std::string& text : listen) {
    auto address = ListenAddress::parse(text);
    if (!address)
      return Error{address.error().code, words.listen + (": " + address.error().message)};
    if (is_anonymous && !address->is_loopback()) {
      if (auto may = check_public(words, text, options); !may) return may.error();
    }
    auto policy = AccessPolicy::create({address->host, options.allowed_hosts, origins});
    if (!policy)
      return Error{policy.error().code,
                   "--allowed-host, --allowed-origin: " + policy.error().message};
    entrance.addresses.push_back(std::move(*address));
    entrance.policies.push_back(std::move(*policy));
  }
  separate_families(entrance.addresses);
  return entrance;
}

}  // namespace

Result<Entrance> make_data_entrance(const ServeOptions& options) {
  return make_entrance(
      kDataWords, options.listen, options.keys_file, options.allowed_origins, options);
}

Result<Entrance> make_management_entrance(const ServeOptions& options) {
  // Pages of elsewhere have no business here, whoever serves them.
  return make_entrance(
      kManagementWords, {options.management_listen}, options.admin_keys_file, {}, options);
}

Result<std::vector<ListenAddress>> binary_addresses(const ServeOptions& options,
                                                    const Entrance& data) {
  std::vector<ListenAddress> addresses;
  const auto& listen = options.binary_listen;
  if (listen == std::vector<std::string>{"none"}) return addresses;
  if (std::find(listen.begin(), listen.end(), "none") != listen.end())
    return Error{ErrorCode::invalid_argument,
                 "--binary-listen none: means that there is no address, and others are given"};
  for (const std::string& text : listen) {
    auto address = ListenAddress::parse(text);
    if (!address) return Error{address.error().code, "--binary-listen: " + address.error().message};
    const auto& allowed = options.allow_anonymous;
    if (data.keys.keys.empty() && !address->is_loopback() &&
        std::find(allowed.begin(), allowed.end(), "data") == allowed.end())
      return Error{ErrorCode::unavailable, refusal_of_public("--binary-listen", text, kDataWords)};
    addresses.push_back(std::move(*address));
  }
  separate_families(addresses);
  return addresses;
}

Result<KeysFile> reread_keys(const char* option, const std::string& path, const KeyRing& before) {
  std::error_code unknown;
  // A pipe has been read once, and another time may wait for ever.
  if (!path.empty() && !std::filesystem::is_regular_file(path, unknown))
    return Error{ErrorCode::unavailable,
                 fmt::format("{} {}: is no file that can be read again", option, path)};
  Result<KeysFile> file = read_keys(option, path);
  if (file && file->keys.empty() != before.anonymous())
    return Error{ErrorCode::unavailable,
                 path + (before.anonymous()
                             ? ": has keys, and the server was started without any"
                             : ": has no key any more, and the server was started with some")};
  return file;
}

KeyRing make_key_ring(const KeysFile& file,
                      const std::vector<std::shared_ptr<const Tenant>>& tenants) {
  CHECK(tenants.size() == file.tenants.size());
  if (file.keys.empty()) return KeyRing(tenants.empty() ? nullptr : tenants.front());
  std::vector<KeyEntry> entries;
  for (const KeysFile::Key& key : file.keys)
    entries.push_back({key.id, key.sha256, tenants[key.tenant]});
  auto ring = KeyRing::create(std::move(entries));
  CHECK(ring.has_value());  // the file was read with these rules
  return std::move(*ring);
}

}  // namespace sluice
