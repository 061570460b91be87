#include "client/hub_files.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::vector<HubFile> files_of(const std::vector<std::string>& names) {
  std::vector<HubFile> files;
  for (const std::string& name : names)
    files.push_back({name, 98'362'432, std::string(64, 'a')});
  return files;
}

/// The names that are chosen, each followed by a blank; or the error.
std::string chosen(const std::vector<std::string>& names,
                   const std::string& quantization = "",
                   const std::vector<std::string>& include = {}) {
  HubSpec spec{"org", "name", "main", quantization};
  auto choice = choose_files(files_of(names), spec, include);
  if (!choice) return choice.error().message;
  std::string text;
  for (const HubFile& file : choice->files)
    text += file.name + " ";
  return text + (choice->is_gguf ? "(gguf)" : "");
}

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

TEST(HubFiles, OfAFolderAreWeightsOnceAndWhatBelongsToThem) {
  EXPECT_EQ(chosen({"README.md",
                    "config.json",
                    "generation_config.json",
                    "model.safetensors",
                    "consolidated.safetensors",
                    "pytorch_model.bin",
                    "x.pth",
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "tokenizer.model",
                    "special_tokens_map.json",
                    "chat_template.jinja",
                    "original/config.json",
                    "original/model.safetensors",
                    "onnx/model.onnx",
                    "x.gguf"}),
            "config.json generation_config.json tokenizer.json tokenizer_config.json "
            "tokenizer.model special_tokens_map.json chat_template.jinja model.safetensors ");
}

TEST(HubFiles, OfWeightsInPartsAreAllAndTheirIndex) {
  EXPECT_EQ(chosen({"config.json",
                    "consolidated.safetensors",
                    "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json"}),
            "config.json model.safetensors.index.json model-00001-of-00002.safetensors "
            "model-00002-of-00002.safetensors ");
}

TEST(HubFiles, OfWeightsWithAnotherNameAreTaken) {
  EXPECT_EQ(chosen({"config.json", "weights.safetensors"}), "config.json weights.safetensors ");
}

TEST(HubFiles, OfGgufIsTheOneThatIsMeant) {
  const std::vector<std::string> names = {"a-Q4_K.gguf",
                                          "a-Q4_K_M.gguf",
                                          "a.IQ4_XS.gguf",
                                          "BF16/a.gguf",
                                          "mmproj-a-f16.gguf",
                                          "a.imatrix.gguf"};
  EXPECT_EQ(chosen({"config.json", "a.gguf", "mmproj-a.gguf"}), "a.gguf (gguf)");
  EXPECT_EQ(chosen(names, "Q4_K_M"), "a-Q4_K_M.gguf (gguf)");
  EXPECT_EQ(chosen(names, "q4_k"), "a-Q4_K.gguf (gguf)");
  EXPECT_EQ(chosen(names, "IQ4_XS"), "a.IQ4_XS.gguf (gguf)");
  EXPECT_EQ(chosen(names, "BF16"), "BF16/a.gguf (gguf)");
  EXPECT_TRUE(contains(chosen(names, "4_XS"), "no GGUF file of the quantization 4_XS; it has:"));
  EXPECT_EQ(chosen(names, "", {"*IQ4*"}), "a.IQ4_XS.gguf (gguf)");
  EXPECT_TRUE(contains(chosen(names, "", {"*"}), "has 4 GGUF files to choose from"));
  // A quantization asks for GGUF, whatever else there is.
  EXPECT_EQ(chosen({"model.safetensors", "a-Q8_0.gguf"}, "Q8_0"), "a-Q8_0.gguf (gguf)");
}

TEST(HubFiles, AreListedWithTheirSizesWhenSeveralMatch) {
  const std::string message = chosen({"a-Q4_0.gguf", "a-Q8_0.gguf"});
  EXPECT_TRUE(contains(message, "org/name has 2 GGUF files to choose from")) << message;
  EXPECT_TRUE(contains(message, "\n  a-Q4_0.gguf  98.4 MB\n  a-Q8_0.gguf  98.4 MB")) << message;

  std::vector<std::string> many;
  for (int i = 0; i < 100; ++i)
    many.push_back(std::to_string(i) + ".gguf");
  EXPECT_TRUE(contains(chosen(many), "\n  and 60 more"));
}

TEST(HubFiles, ThatCannotBeServedAreSaidToBeSo) {
  EXPECT_TRUE(contains(chosen({"config.json", "pytorch_model.bin"}),
                       "has no *.safetensors and no *.gguf, which is what can be served; it has:"
                       "\n  config.json"));
  EXPECT_TRUE(contains(chosen({"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"}), "is split"));
}

TEST(HubFiles, AreChosenByPatterns) {
  const std::vector<std::string> names = {
      "config.json", "model.safetensors", "fp16/model.safetensors", "model.onnx"};
  EXPECT_EQ(chosen(names, "", {"fp16/*"}), "config.json fp16/model.safetensors ");
  EXPECT_EQ(chosen(names, "", {"*.onnx", "model.s*"}), "config.json model.safetensors model.onnx ");
  EXPECT_TRUE(contains(chosen(names, "", {"*.gguf"}),
                       "nothing that --include matches; its weights are:\n  model.safetensors"));
}

TEST(HubFiles, HaveNamesThatStayInTheirFolder) {
  for (const char* name : {"config.json", "a/b/c.gguf", ".gitattributes", "..a", "a..b", "\u00e4"})
    EXPECT_EQ(fault_of_name(name), "") << name;
  for (const char* name : {"",
                           "/",
                           "/a",
                           "a/",
                           "..",
                           ".",
                           "../a",
                           "a/../b",
                           "a/..",
                           "a//b",
                           "./a",
                           "a\nb",
                           "a\tb",
                           "a\x1b",
                           "a\x7f",
                           "\xC2\x9B",
                           "\xFF"})
    EXPECT_NE(fault_of_name(name), "") << name;
  EXPECT_NE(fault_of_name(std::string("a\0b", 3)), "");
  EXPECT_NE(fault_of_name(std::string(201, 'a')), "");
  EXPECT_EQ(fault_of_name(std::string(200, 'a') + "/" + std::string(200, 'b')), "");
  EXPECT_NE(fault_of_name(std::string(200, 'a') + "/" + std::string(200, 'b') + "/" +
                          std::string(200, 'c')),
            "");
}

TEST(HubFiles, HaveDigestsAsTheirEtags) {
  const std::string sha1(40, '0');
  const std::string sha256(64, 'f');
  EXPECT_EQ(digest_of_etag("\"" + sha256 + "\""), sha256);
  EXPECT_EQ(digest_of_etag("W/\"" + sha1 + "\""), sha1);
  for (const std::string& etag : {std::string(),
                                  std::string("\"\""),
                                  std::string(64, 'F'),
                                  std::string(41, '0'),
                                  "../" + std::string(37, '0')})
    EXPECT_EQ(digest_of_etag(etag), "") << etag;
}

TEST(HubListing, IsReadWithWhatItSaysAboutFiles) {
  const std::string commit(40, 'c');
  const std::string sha1(40, '1');
  const std::string sha256(64, '2');
  auto listing =
      parse_hub_listing(R"({"id":"a/b","sha":")" + commit + R"(","siblings":[)" +
                        R"({"rfilename":"config.json","size":7,"blobId":")" + sha1 + R"("},)" +
                        R"({"rfilename":"m.gguf","size":9,"blobId":"x","lfs":{"sha256":")" +
                        sha256 + R"(","size":9}},{"rfilename":"README.md"}]})");

  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->commit, commit);
  ASSERT_EQ(listing->files.size(), 3U);
  EXPECT_EQ(listing->files[0].size, 7U);
  EXPECT_EQ(listing->files[0].digest, sha1);
  EXPECT_EQ(listing->files[1].digest, sha256);
  EXPECT_FALSE(listing->files[2].size);
}

}  // namespace
}  // namespace sluice
