#include "server/entrance.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace sluice {
namespace {

/// How the options of an entrance are called.
struct Words {
  const char* listen;
  const char* keys;
  const char* name;  ///< as --allow-anonymous calls it
};

/// Reads "ID SHA256" lines; empty lines and those that start with '#' are skipped.
Result<KeyRing> read_keys(const char* option, const std::string& file) {
  auto wrong = [](std::string message) {
    return Error{ErrorCode::unavailable, std::move(message)};
  };
  if (file.empty()) return KeyRing{};
  std::ifstream input(file);
  std::error_code unknown;
  // A device may have no end.
  if (!input || std::filesystem::is_character_file(file, unknown) ||
      std::filesystem::is_directory(file, unknown))
    return wrong(fmt::format("{} {}: cannot be read", option, file));
  std::vector<KeyEntry> entries;
  std::string line;
  for (int number = 1; std::getline(input, line); ++number) {
    std::istringstream fields(line);
    KeyEntry entry;
    if (!(fields >> entry.id) || entry.id.front() == '#') continue;
    std::string rest;
    if (!(fields >> entry.sha256) || (fields >> rest)) {
      return wrong(fmt::format(
          "{}:{}: expected 'ID SHA256', a key's name and the digest of its token", file, number));
    }
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return wrong(file + ": holds no key");
  auto keys = KeyRing::create(std::move(entries));
  if (!keys) return wrong(file + ": " + keys.error().message);
  return keys;
}

/// Whether a public address may do without keys; logs what that means.
Result<void> check_public(const Words& words,
                          const std::string& text,
                          const ServeOptions& options) {
  const auto& allowed = options.allow_anonymous;
  if (std::find(allowed.begin(), allowed.end(), words.name) == allowed.end())
    return Error{ErrorCode::unavailable,
                 fmt::format("{} {} is reachable from outside and has no keys; give {} FILE, or "
                             "--allow-anonymous {} if everybody may use it",
                             words.listen,
                             text,
                             words.keys,
                             words.name)};
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
  for (const std::string& text : listen) {
    auto address = ListenAddress::parse(text);
    if (!address)
      return Error{address.error().code, words.listen + (": " + address.error().message)};
    if (entrance.keys.anonymous() && !address->is_loopback()) {
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
  return make_entrance({"--listen", "--api-keys", "data"},
                       options.listen,
                       options.keys_file,
                       options.allowed_origins,
                       options);
}

Result<Entrance> make_management_entrance(const ServeOptions& options) {
  // Pages of elsewhere have no business here, whoever serves them.
  return make_entrance({"--management-listen", "--admin-keys", "management"},
                       {options.management_listen},
                       options.admin_keys_file,
                       {},
                       options);
}

}  // namespace sluice
