#include "server/keys_file.h"

#include "base/utf8.h"
#include "net/ascii.h"
#include "server/toml_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{16} << 20;
constexpr std::string_view kAnonymous = "anonymous";
constexpr std::size_t kKeysMax = 10'000;

constexpr std::array<std::string_view, 2> kRootNames{"key", "tenant"};
constexpr std::array<std::string_view, 1> kTenantNames{"name"};
constexpr std::array<std::string_view, 3> kKeyNames{"id", "sha256", "tenant"};
constexpr std::array<std::string_view, 10> kPolicyNames{"class",
                                                        "max_class",
                                                        "scopes",
                                                        "core",
                                                        "weight",
                                                        "rpm",
                                                        "burst",
                                                        "tpm",
                                                        "max_inflight",
                                                        "degradation"};

TenantPolicy read_policy(TomlTable& table, std::string name) {
  constexpr std::array<std::string_view, 1> kScopes{"priority"};
  constexpr std::uint64_t kRateMax = 1'000'000'000'000;
  constexpr Duration kMinute = std::chrono::minutes(1);
  TenantPolicy policy;
  policy.name = std::move(name);
  auto own_class = table.word("class", kPriorityClassNames);
  if (own_class) policy.default_class = static_cast<PriorityClass>(*own_class);
  if (auto place = table.word("max_class", kPriorityClassNames))
    policy.max_class = static_cast<PriorityClass>(*place);
  bool is_known = own_class || !table.has("class");
  if (is_known && table.has("max_class") && policy.default_class < policy.max_class)
    table.complain("max_class",
                   fmt::format("{} is less than the class of its requests, {}",
                               to_string(policy.max_class),
                               to_string(policy.default_class)));
  policy.may_prioritize = !table.words("scopes", kScopes).empty();
  policy.core = table.flag("core").value_or(false);
  constexpr std::array<std::string_view, 2> kDegradation{"allow", "never"};
  if (auto place = table.word("degradation", kDegradation)) policy.may_be_degraded = *place == 0;
  policy.weight = static_cast<std::uint32_t>(table.number("weight", 1, 1000).value_or(1));
  auto requests = table.number("rpm", 1, kRateMax);
  auto burst = table.number("burst", 1, kRateMax);
  if (requests) policy.requests = {*requests, kMinute, burst.value_or(*requests)};
  if (table.has("burst") && !table.has("rpm"))
    table.complain("burst", "means something only beside rpm");
  if (auto tokens = table.number("tpm", 1, kRateMax)) policy.tokens = {*tokens, kMinute, *tokens};
  policy.in_flight_max =
      static_cast<std::uint32_t>(table.number("max_inflight", 1, 1'000'000).value_or(0));
  return policy;
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), ascii::lower);
  return text;
}

class Reader {
 public:
  Reader(const toml::table& root, TomlComplaints& complaints)
      : root_(root), complaints_(complaints) {}

  KeysFile read() {
    TomlTable(root_, complaints_).allow({kRootNames});
    for_each("tenant", [this](TomlTable table) { read_tenant(table); });
    for_each("key", [this](TomlTable table) { read_key(table); });
    if (file_.keys.empty() && !place_of(kAnonymous) && complaints_.empty())
      complaints_.add(root_.source(),
                      "",
                      "holds no key; a key is written [[key]] with an id and the sha256 of its "
                      "token below");
    return std::move(file_);
  }

 private:
  template <class Read>
  void for_each(std::string_view name, Read read) {
    const toml::node* node = root_.get(name);
    if (!node) return;
    const toml::array* list = node->as_array();
    if (!list || !list->is_homogeneous(toml::node_type::table)) {
      complaints_.add(node->source(), name, fmt::format("is written [[{}]]", name));
      return;
    }
    for (const toml::node& item : *list)
      read(TomlTable(*item.as_table(), complaints_));
  }

  [[nodiscard]] std::optional<std::size_t> place_of(std::string_view tenant) const {
    auto found = places_.find(tenant);
    return found == places_.end() ? std::nullopt : std::optional(found->second);
  }

  void add_tenant(TenantPolicy policy) {
    places_.emplace(policy.name, file_.tenants.size());
    file_.tenants.push_back(std::move(policy));
  }

  void read_tenant(TomlTable table) {
    table.allow({kTenantNames, kPolicyNames});
    std::string name = table.name("name", true);
    TenantPolicy policy = read_policy(table, name);
    if (name.empty()) return;
    if (place_of(name)) {
      table.complain("name", name + " is given twice");
    } else {
      add_tenant(std::move(policy));
    }
  }

  void read_key(TomlTable table) {
    table.allow({kKeyNames, kPolicyNames});
    KeysFile::Key key;
    key.id = table.name("id", true);
    key.sha256 = table.name("sha256", true);
    bool is_digest =
        key.sha256.size() == 64 && std::all_of(key.sha256.begin(), key.sha256.end(), [](char c) {
          return ascii::hex_value(c) >= 0;
        });
    if (!key.sha256.empty() && !is_digest)
      table.complain(
          "sha256",
          fmt::format("expected 64 hexadecimal digits, got {} characters", key.sha256.size()));
    if (!key.id.empty() && !ids_.insert(key.id).second)
      table.complain("id", key.id + " is given twice");
    auto [same, is_new] = digests_.emplace(lowered(key.sha256), key.id);
    if (is_digest && !is_new) table.complain("sha256", "is that of the key " + same->second);
    if (key.id == kAnonymous)
      table.complain("id", "anonymous are those who have no key");
    else
      read_owner(table, key);
    if (file_.keys.size() == kKeysMax)
      table.complain("id", fmt::format("is one of more than {} keys", kKeysMax));
    if (file_.keys.size() < kKeysMax) file_.keys.push_back(std::move(key));
  }

  /// Whose key it is: a tenant of the file, or one that the key brings along.
  void read_owner(TomlTable& table, KeysFile::Key& key) {
    if (!table.has("tenant")) {
      TenantPolicy own = read_policy(table, key.id);
      if (place_of(key.id))
        table.complain(
            "id", fmt::format("there is a tenant {0}; for its key say tenant = \"{0}\"", key.id));
      else if (!key.id.empty())
        key.tenant = file_.tenants.size(), add_tenant(std::move(own));
      return;
    }
    std::string tenant = table.name("tenant", true);
    for (std::string_view field : kPolicyNames)
      if (table.has(field)) table.complain(field, "is up to the tenant, " + tenant);
    auto place = place_of(tenant);
    if (tenant == kAnonymous)
      table.complain("tenant", "anonymous are those who have no key");
    else if (!place && !tenant.empty())
      table.complain("tenant", "there is no [[tenant]] of the name " + tenant);
    key.tenant = place.value_or(0);
  }

  const toml::table& root_;
  TomlComplaints& complaints_;
  KeysFile file_;
  std::map<std::string, std::size_t, std::less<>> places_;  ///< of tenants
  std::set<std::string> ids_;
  std::map<std::string, std::string> digests_;  ///< to the ids of their keys
};

/// The line with more dots than any name has, if there is one; else 0. The parser limits how deep
/// values may nest, but a name of very many parts would use up its stack.
toml::source_index line_of_endless_name(std::string_view text) {
  constexpr std::size_t kDotsMax = 1000;
  toml::source_index line = 1;
  std::size_t dots = 0;
  for (char c : text) {
    if (c == '\n') {
      ++line;
      dots = 0;
    } else if (c == '.' && ++dots > kDotsMax) {
      return line;
    }
  }
  return 0;
}

}  // namespace

Result<KeysFile> parse_keys_file(std::string_view text, const std::string& name) {
  TomlComplaints complaints(name);
  KeysFile file;
  if (toml::source_index line = line_of_endless_name(text); line > 0) {
    toml::source_position place{line, 1};
    complaints.add({place, place, nullptr}, "", "this line has more than 1000 dots");
    return complaints.error();
  }
  try {
    const toml::table root = toml::parse(text);
    file = Reader(root, complaints).read();
  } catch (const toml::parse_error& error) {
    std::string what = excerpt(error.description(), 200);
    // Maybe it is a list of tokens, as other servers have it.
    if (text.find("[[") == std::string_view::npos)
      what += "; a key is written [[key]] with an id and the sha256 of its token below";
    complaints.add(error.source(), "", what);
  }
  if (!complaints.empty()) return complaints.error();
  return file;
}

Result<KeysFile> read_keys_file(const char* option, const std::string& path) {
  auto wrong = [&](std::string_view why) {
    return Error{ErrorCode::unavailable, fmt::format("{} {}: {}", option, path, why)};
  };
  std::ifstream input(path, std::ios::binary);
  std::error_code unknown;
  // A device may have no end.
  if (!input || std::filesystem::is_character_file(path, unknown) ||
      std::filesystem::is_directory(path, unknown))
    return wrong("cannot be read");
  std::string text(kFileBytesMax + 1, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (input.bad()) return wrong("cannot be read");
  text.resize(static_cast<std::size_t>(input.gcount()));
  if (text.size() > kFileBytesMax) return wrong("is larger than 16 MiB");
  return parse_keys_file(text, path);
}

}  // namespace sluice
