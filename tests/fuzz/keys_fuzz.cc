// Any bytes as a file of keys: either sound entries, or sentences that say what is wrong and where.
#include "base/utf8.h"
#include "server/keys_file.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

namespace sluice {
namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void check_rate(const Rate& rate) {
  expect(!rate.is_limited() ||
         (rate.units <= Rate::kMax && rate.burst >= 1 && rate.burst <= Rate::kMax));
}

void check(const KeysFile& file) {
  std::set<std::string> names;
  for (const TenantPolicy& policy : file.tenants) {
    expect(!policy.name.empty() && names.insert(policy.name).second);
    expect(policy.default_class >= policy.max_class);
    check_rate(policy.requests);
    check_rate(policy.tokens);
  }
  std::set<std::string> ids;
  for (const KeysFile::Key& key : file.keys) {
    expect(!key.id.empty() && ids.insert(key.id).second);
    expect(key.sha256.size() == 64);
    expect(key.tenant < file.tenants.size());
    expect(file.tenants[key.tenant].name != "anonymous");
  }
  expect(!file.keys.empty() || names.contains("anonymous"));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto file = sluice::parse_keys_file({reinterpret_cast<const char*>(data), size}, "keys.toml");
  if (file) {
    sluice::check(*file);
  } else {
    sluice::expect(file.error().message.starts_with("keys.toml:"));
    sluice::expect(sluice::is_valid_utf8(file.error().message));
  }
  return 0;
}
