#include "client/hub_cache.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

Result<HubPlaces> places(const std::map<std::string, std::string>& variables) {
  return hub_places([&](const char* name) {
    auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  });
}

TEST(HubPlaces, AreWhereOtherToolsLook) {
  auto plain = places({{"HOME", "/home/me"}});
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->endpoint, "https://huggingface.co");
  EXPECT_EQ(plain->cache, "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(plain->token_file, "/home/me/.cache/huggingface/token");
  EXPECT_EQ(plain->token, "");

  EXPECT_EQ(places({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}})->cache, "/x/huggingface/hub");
  EXPECT_EQ(places({{"HOME", "/h"}, {"HF_HOME", "/f"}})->cache, "/f/hub");
  EXPECT_EQ(places({{"HOME", "/h"}, {"HF_HOME", "/f"}})->token_file, "/f/token");
  EXPECT_EQ(places({{"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/c//"}})->cache, "/c");
  EXPECT_EQ(places({{"HF_HUB_CACHE", "/c"}})->cache, "/c");
  EXPECT_EQ(places({{"HOME", "/h"}, {"HF_ENDPOINT", "http://mirror:80/"}})->endpoint,
            "http://mirror:80");
  EXPECT_EQ(places({{"HOME", "/h"}, {"HF_TOKEN", "hf_x\n"}})->token, "hf_x");
}

TEST(HubPlaces, AreRefusedWhereTheyCannotBe) {
  EXPECT_FALSE(places({}));
  EXPECT_FALSE(places({{"HOME", "/h"}, {"HF_ENDPOINT", "ftp://mirror"}}));
  EXPECT_FALSE(places({{"HOME", "/h"}, {"HF_TOKEN", "a\nb"}}));
}

TEST(HubCache, NamesFilesByTheirContent) {
  CacheFolder folder("/c", HubSpec{"org", "name", "main", ""});
  const BlobPlace blob = folder.blob("abc");

  EXPECT_EQ(blob.path, "/c/models--org--name/blobs/abc");
  EXPECT_EQ(blob.partial, "/c/models--org--name/blobs/abc.incomplete");
  EXPECT_EQ(blob.lock, "/c/.locks/models--org--name/abc.lock");
  EXPECT_EQ(folder.snapshot("def"), "/c/models--org--name/snapshots/def");
}

}  // namespace
}  // namespace sluice
