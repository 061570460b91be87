#include "models/checkpoint/safetensors.h"

#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// A file with this header and so many bytes of data behind it.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(std::uint64_t{header.size()} >> (8 * i) & 0xFF));
  return bytes + header + std::string(data_bytes, '\x01');
}

const char* const kPartOne = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
const char* const kPartTwo = R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";

class Safetensors : public ::testing::Test {
 protected:
  Result<std::unique_ptr<SafetensorsFile>> open(const std::string& bytes) {
    return SafetensorsFile::open(folder_.write("model.safetensors", bytes));
  }
  /// The message with which a file is refused.
  std::string refusal(const std::string& header, std::size_t data_bytes) {
    auto file = open(file_of(header, data_bytes));
    EXPECT_FALSE(file);
    if (file) return "";
    EXPECT_EQ(file.error().code, ErrorCode::data_loss);
    return file.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(Safetensors, FindsTheTensorsOfAFile) {
  auto file = open(file_of(R"({"__metadata__":{"format":"pt"},)"
                           R"("b":{"dtype":"BF16","shape":[3,2],"data_offsets":[8,20]},)"
                           R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[20,20]},)"
                           R"("one":{"dtype":"U8","shape":[],"data_offsets":[20,21]}}   )",
                           21));

  ASSERT_TRUE(file) << file.error().message;
  const auto& tensors = (*file)->tensors();
  ASSERT_EQ(tensors.size(), 4U);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].dtype, DType::f32);
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(tensors[1].data - tensors[0].data, 8);
  EXPECT_EQ(tensors[2].size_bytes, 0U);
  EXPECT_EQ(tensors[3].size_bytes, 1U);
  EXPECT_EQ(std::to_integer<int>(*tensors[3].data), 1);
}

TEST_F(Safetensors, TakesNullForAbsentMetadata) {
  auto file = open(file_of(R"({"__metadata__":null,)"
                           R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                           8));

  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 1U);
}

TEST_F(Safetensors, SaysWhatStandsInThePlaceOfTheFile) {
  auto pointer = open(
      "version https://git-lfs.github.com/spec/v1\n"
      "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
      "size 1073741824\n");
  ASSERT_FALSE(pointer);
  EXPECT_EQ(pointer.error().message,
            "model.safetensors: is a Git LFS pointer to a file of 1073741824 bytes, not the file; "
            "run 'git lfs pull' in its folder");

  auto page = open("<!DOCTYPE html><html><body>404</body></html>");
  ASSERT_FALSE(page);
  EXPECT_THAT(page.error().message, HasSubstr("is a web page"));
}

TEST_F(Safetensors, AcceptsAFileWithoutTensors) {
  auto file = open(file_of("{}", 0));

  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->tensors().empty());
}

TEST_F(Safetensors, SaysWhichFileIsMissing) {
  auto file = SafetensorsFile::open(folder_.path() + "/absent.safetensors");

  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::not_found);
  EXPECT_THAT(file.error().message, HasSubstr("absent.safetensors"));
}

TEST_F(Safetensors, RefusesAFileThatIsShorterThanALength) {
  auto file = open("\x01\x02\x03");

  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            "model.safetensors: has 3 bytes, the length of the header alone takes 8");
}

TEST_F(Safetensors, RefusesAHeaderThatIsLongerThanTheFile) {
  std::string bytes = file_of("{}", 0);
  bytes[0] = 100;

  auto file = open(bytes);

  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            "model.safetensors: header of 100 bytes, but the file has 10 in all");
}

TEST_F(Safetensors, RefusesAHeaderBeyondTheFormatsLimit) {
  std::string bytes = file_of("{}", 0);
  bytes[7] = 1;

  auto file = open(bytes);

  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            "model.safetensors: header of 72057594037927938 bytes, the limit is 100000000");
}

TEST_F(Safetensors, RefusesAHeaderThatIsNoJsonObject) {
  EXPECT_THAT(refusal(R"({"a":)", 0), HasSubstr("model.safetensors: header: not valid JSON"));
  EXPECT_THAT(refusal(R"({} {})", 0), HasSubstr("model.safetensors: header: not valid JSON"));
  EXPECT_THAT(refusal(R"([1])", 0), HasSubstr("is [1], not an object"));
  EXPECT_THAT(refusal("", 0), HasSubstr("model.safetensors: header: not valid JSON"));
  EXPECT_THAT(refusal(std::string(5000, '['), 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"\xFF\":1}", 0), HasSubstr("not valid JSON"));
}

TEST_F(Safetensors, RefusesANameThatStandsTwice) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                    R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                    2),
            "model.safetensors: header: the name 'a' stands twice");
}

TEST_F(Safetensors, RefusesAShapeThatItsBytesDoNotHold) {
  EXPECT_EQ(refusal(R"({"model.norm.weight":{"dtype":"BF16","shape":[256],)"
                    R"("data_offsets":[0,510]}})",
                    510),
            "model.safetensors: tensor 'model.norm.weight': shape [256] of BF16 needs 512 bytes, "
            "its data_offsets [0, 510] hold 510");
}

TEST_F(Safetensors, RefusesOffsetsBeyondTheFile) {
  EXPECT_EQ(refusal(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12),
            "model.safetensors: tensor 'w': its data_offsets [0, 16] lie beyond the 12 bytes of "
            "data in the file");
  EXPECT_EQ(refusal(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", 16),
            "model.safetensors: tensor 'w': its data_offsets [16, 0] end before they begin");
}

TEST_F(Safetensors, RefusesOverlapsAndHoles) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                    6),
            "model.safetensors: tensor 'b': begins at byte 2, the one before it ('a') ends at 4: "
            "they overlap");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}})",
                    10),
            "model.safetensors: tensor 'b': begins at byte 6, the one before it ('a') ends at 4: "
            "there is a hole");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5),
            "model.safetensors: tensor 'a': begins at byte 1, the data begins at 0: there is a "
            "hole");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 9),
            "model.safetensors: its tensors end at byte 4 of 9 bytes of data");
}

TEST_F(Safetensors, RefusesTypesAndShapesItDoesNotKnow) {
  EXPECT_EQ(refusal(R"({"w":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4),
            "model.safetensors: tensor 'w': dtype 'F31' is not known");
  EXPECT_THAT(refusal(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4),
              HasSubstr("tensor 'w': has no dtype"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
              HasSubstr("shape [-1] has a dimension that is not in"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4),
              HasSubstr("tensor 'w': shape [1.5E0]"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[281474976710656,281474976710656],)"
                      R"("data_offsets":[0,4]}})",
                      4),
              HasSubstr("needs more bytes than 64 bits can count"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":"x","data_offsets":[0,4]}})", 4),
              HasSubstr("tensor 'w': has no valid shape"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
              HasSubstr("tensor 'w': has no valid data_offsets"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4),
              HasSubstr("tensor 'w': has no valid data_offsets"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4),
              HasSubstr("tensor 'w': has an unknown field 'x'"));
  EXPECT_THAT(refusal(R"({"w":7})", 0), HasSubstr("tensor 'w': is 7, not an object"));
}

TEST_F(Safetensors, RefusesEveryCutOfAFileWithoutCrashing) {
  std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                              R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})",
                              14);

  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(open(whole.substr(0, size))) << size;
  EXPECT_TRUE(open(whole));
}

TEST_F(Safetensors, SurvivesEveryFlippedByteOfAHeader) {
  std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);

  // Any answer will do, as long as every tensor that is reported lies in the file.
  for (std::size_t at = 0; at + 8 < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      auto file = open(damaged);
      if (!file) continue;
      for (const StoredTensor& tensor : (*file)->tensors())
        EXPECT_LE(tensor.size_bytes, 8U);
    }
  }
}

TEST_F(Safetensors, OpensACheckpointOfSeveralFiles) {
  folder_.write("model.safetensors.index.json",
                R"({"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  folder_.write("one.safetensors", file_of(kPartOne, 4));
  folder_.write("two.safetensors", file_of(kPartTwo, 2));

  auto checkpoint = open_safetensors(folder_.path());

  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  ASSERT_NE(checkpoint->find("a"), nullptr);
  ASSERT_NE(checkpoint->find("b"), nullptr);
  EXPECT_EQ(checkpoint->find("b")->file, "two.safetensors");
  EXPECT_EQ(checkpoint->find("c"), nullptr);
}

TEST_F(Safetensors, TellEachPieceThatIsInMemory) {
  constexpr std::size_t kBytes = (std::size_t{40} << 20) + 5;
  folder_.write("model.safetensors.index.json",
                R"({"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  std::string number = std::to_string(kBytes);
  std::string one = file_of(
      R"({"a":{"dtype":"U8","shape":[)" + number + R"(],"data_offsets":[0,)" + number + "]}}",
      kBytes);
  std::string two = file_of(kPartTwo, 2);
  folder_.write("one.safetensors", one);
  folder_.write("two.safetensors", two);
  auto checkpoint = open_safetensors(folder_.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  std::vector<std::uint64_t> pieces;

  auto there = checkpoint->page_in([&](std::uint64_t bytes) { pieces.push_back(bytes); });

  ASSERT_TRUE(there) << there.error().message;
  constexpr std::uint64_t kPiece = std::uint64_t{16} << 20;
  EXPECT_EQ(pieces,
            (std::vector<std::uint64_t>{kPiece, kPiece, one.size() - 2 * kPiece, two.size()}));
}

TEST_F(Safetensors, SaysWhatIsWrongWithAnIndex) {
  auto refusal_of = [&](const std::string& index) {
    folder_.write("model.safetensors.index.json", index);
    auto checkpoint = open_safetensors(folder_.path());
    EXPECT_FALSE(checkpoint);
    return checkpoint ? std::string() : checkpoint.error().message;
  };
  folder_.write("one.safetensors", file_of(kPartOne, 4));

  EXPECT_EQ(refusal_of(R"({"weight_map":{"b":"one.safetensors"}})"),
            "model.safetensors.index.json: weight_map: tensor 'b' is in one.safetensors, which "
            "has no such tensor");
  EXPECT_THAT(refusal_of(R"({"weight_map":{"b":"two.safetensors"}})"),
              HasSubstr("two.safetensors"));
  EXPECT_THAT(refusal_of(R"({"weight_map":{"b":"../one.safetensors"}})"),
              HasSubstr("is no name of a file in the folder"));
  EXPECT_THAT(refusal_of(R"({"weight_map":{"b":1}})"), HasSubstr("tensor 'b' is in 1"));
  EXPECT_EQ(refusal_of("{}"), "model.safetensors.index.json: weight_map is missing");
}

TEST_F(Safetensors, SaysWhenAFolderHasNoWeights) {
  auto checkpoint = open_safetensors(folder_.path());

  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().code, ErrorCode::not_found);
  EXPECT_EQ(checkpoint.error().message,
            folder_.path() + ": has neither model.safetensors nor model.safetensors.index.json");
}

}  // namespace
}  // namespace sluice
