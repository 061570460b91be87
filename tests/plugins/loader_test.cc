#include "plugins/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace sluice {
namespace {

using ::testing::HasSubstr;

std::string library(const std::string& name) {
  return std::string(SLUICE_PLUGIN_DIR) + "/" + name + ".so";
}

/// A call whose fields are a map; the opaque pointer is the map itself.
using Fields = std::map<std::string, std::string>;
sluice_call* as_call(Fields& fields) {
  return reinterpret_cast<sluice_call*>(&fields);
}

sluice_status get(sluice_call* call, sluice_str key, sluice_str* out) {
  auto& fields = *reinterpret_cast<Fields*>(call);
  auto found = fields.find(std::string(key.ptr, key.len));
  if (found == fields.end()) return SLUICE_SKIP;
  *out = {found->second.data(), found->second.size()};
  return SLUICE_OK;
}

sluice_status set(sluice_call* call, sluice_str key, sluice_str value) {
  (*reinterpret_cast<Fields*>(call))[std::string(key.ptr, key.len)] =
      std::string(value.ptr, value.len);
  return SLUICE_OK;
}

sluice_host_api host_api() {
  sluice_host_api api{};
  api.struct_size = sizeof api;
  api.abi_major = SLUICE_PLUGIN_ABI_MAJOR;
  api.call_get = get;
  api.call_set = set;
  return api;
}

std::string refusal(const std::string& path) {
  auto opened = PluginLibrary::open(path);
  return opened ? "opened" : opened.error().message;
}

TEST(PluginLibrary, OpensAPluginAndShowsWhatItIs) {
  auto opened = PluginLibrary::open(library("admission_tokens"));

  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->name(), "admission-tokens");
  EXPECT_EQ((*opened)->table().hooks, SLUICE_HOOK_ADMISSION);
}

TEST(PluginLibrary, NamesAFileThatIsNotThere) {
  auto opened = PluginLibrary::open("/nowhere/plugin.so");

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::not_found);
  EXPECT_THAT(opened.error().message, HasSubstr("/nowhere/plugin.so"));
}

TEST(PluginLibrary, RefusesAFileThatIsNoLibraryOrThatAnybodyMayReplace) {
  auto path = std::filesystem::temp_directory_path() /
              ("sluice_plugin_" + std::to_string(::getpid()) + ".so");
  std::ofstream(path) << "not a library";
  EXPECT_THAT(refusal(path), HasSubstr("cannot be loaded"));

  std::filesystem::permissions(
      path, std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  EXPECT_THAT(refusal(path), HasSubstr("writable for everybody"));
  std::filesystem::remove(path);
}

TEST(PluginLibrary, RefusesInterfacesThatDoNotFit) {
  EXPECT_THAT(refusal(library("plugin_newer_minor")),
              HasSubstr("needs plugin interface 1.1, this server has 1.0"));
  EXPECT_THAT(refusal(library("plugin_newer_major")),
              HasSubstr("needs plugin interface 2.0, this server has 1.0"));
  EXPECT_THAT(refusal(library("plugin_no_get")), HasSubstr("has no symbol sluice_plugin_get"));
}

TEST(PluginLibrary, RefusesTablesThatContradictThemselves) {
  EXPECT_THAT(refusal(library("plugin_tiny_table")),
              HasSubstr("gave a table of 8 bytes, the least is 80"));
  EXPECT_THAT(refusal(library("plugin_missing_hook")),
              HasSubstr("announces an admission hook and has none"));
  EXPECT_THAT(refusal(library("plugin_nameless")), HasSubstr("has no proper name"));
}

TEST(PluginLibrary, TreatsMembersBeyondAnOlderTableAsNull) {
  auto opened = PluginLibrary::open(library("plugin_older_table"));

  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->table().on_admission, nullptr);
}

TEST(PluginInstance, AsksTheAdmissionHook) {
  auto opened = PluginLibrary::open(library("admission_tokens"));
  ASSERT_TRUE(opened);
  sluice_host_api api = host_api();
  auto instance = PluginInstance::create(*opened, api, nullptr, R"({"tokens_max": 100})");
  ASSERT_TRUE(instance) << instance.error().message;

  Fields small{{"tokens_est", "100"}};
  Fields large{{"tokens_est", "101"}};
  Fields unknown;

  EXPECT_EQ((*instance)->on_admission(as_call(small)), SLUICE_OK);
  EXPECT_EQ((*instance)->on_admission(as_call(large)), SLUICE_REJECT);
  EXPECT_EQ(large["detail"], "the request asks for 101 tokens, the limit is 100");
  EXPECT_EQ((*instance)->on_admission(as_call(unknown)), SLUICE_SKIP);
}

TEST(PluginInstance, PassesOnWhyAConfigurationIsRefused) {
  auto opened = PluginLibrary::open(library("admission_tokens"));
  ASSERT_TRUE(opened);
  sluice_host_api api = host_api();

  auto instance = PluginInstance::create(*opened, api, nullptr, R"({"tokens_max": -5})");

  ASSERT_FALSE(instance);
  EXPECT_EQ(
      instance.error().message,
      "plugin admission-tokens refused its configuration: tokens_max must be a number above 0");
}

}  // namespace
}  // namespace sluice
