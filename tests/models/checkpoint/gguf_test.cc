#include "models/checkpoint/gguf.h"

#include "base/utf8.h"
#include "models/checkpoint/gguf_fields.h"
#include "tests/models/checkpoint/gguf_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <limits>

namespace sluice {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::raw;
using testing::raw_text;

/// One key of every type and three tensors, written by the `gguf` package.
std::string sample() {
  std::ifstream file(SLUICE_SOURCE_DIR "/tests/fuzz/seeds/gguf/sample.gguf", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Error refusal_of(const std::string& bytes) {
  auto file = Gguf::parse(as_bytes(bytes), "x.gguf");
  EXPECT_FALSE(file);
  return file ? Error{} : file.error();
}
std::string refusal(const std::string& bytes) {
  return refusal_of(bytes).message;
}
std::string refusal(const GgufBytes& file) {
  return refusal(file.bytes());
}

/// Looks at everything that a file is said to hold; a tool of memory errors looks on.
std::uint64_t touch(const Gguf& file) {
  std::uint64_t sum = 0;
  for (const auto& [key, value] : file.keys()) {
    sum += describe(value).size();
    for (std::byte byte : value.bytes)
      sum += std::to_integer<std::uint64_t>(byte);
    if (value.type == GgufType::string) sum += texts_of(value).size();
  }
  for (const GgufTensor& tensor : file.tensors()) {
    for (std::byte byte : tensor.data)
      sum += std::to_integer<std::uint64_t>(byte);
  }
  return sum;
}

/// An answer of either kind is right; what counts is that there is one.
void expect_an_answer(const std::string& bytes) {
  // Exactly as large as it is said to be, so that a step beyond it is noticed.
  std::vector<std::byte> copy(as_bytes(bytes).begin(), as_bytes(bytes).end());
  auto file = Gguf::parse(copy, "x.gguf");
  if (file) {
    touch(*file);
  } else {
    EXPECT_THAT(file.error().message, ::testing::StartsWith("x.gguf: "));
    EXPECT_TRUE(is_valid_utf8(file.error().message));
  }
}

TEST(Gguf, ReadsEveryTypeOfValue) {
  std::string bytes = sample();
  auto file = Gguf::parse(as_bytes(bytes), "sample.gguf");

  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3U);
  EXPECT_EQ(file->alignment(), 32U);
  auto shown = [&](const std::string& name) {
    const GgufValue* value = file->find("sample." + name);
    return value == nullptr ? std::string("absent") : describe(*value);
  };
  EXPECT_EQ(shown("uint8"), "200");
  EXPECT_EQ(shown("int8"), "-100");
  EXPECT_EQ(shown("uint16"), "60000");
  EXPECT_EQ(shown("int16"), "-30000");
  EXPECT_EQ(shown("uint32"), "4000000000");
  EXPECT_EQ(shown("int32"), "-2000000000");
  EXPECT_EQ(shown("float32"), "0.5");
  EXPECT_EQ(shown("bool"), "true");
  EXPECT_EQ(shown("string"), "'a text'");
  EXPECT_EQ(shown("uint64"), "18446744073709551615");
  EXPECT_EQ(shown("int64"), "-9223372036854775808");
  EXPECT_EQ(shown("float64"), "0.25");
  EXPECT_EQ(shown("texts"), "an array of 3 string");
  EXPECT_EQ(shown("nothing"), "absent");
  EXPECT_THAT(texts_of(*file->find("sample.texts")), ElementsAre("one", "", "three"));
  EXPECT_EQ(integer_of(*file->find("sample.integers"), 2), 3);
  EXPECT_EQ(number_of(*file->find("sample.floats"), 1), -0.5);
}

TEST(Gguf, FindsTheTensorsWhereTheyLie) {
  std::string bytes = sample();
  auto file = Gguf::parse(as_bytes(bytes), "sample.gguf");

  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 3U);
  const GgufTensor& norm = file->tensors()[0];
  EXPECT_EQ(norm.name, "norm.weight");
  EXPECT_EQ(norm.rank, 1U);
  EXPECT_EQ(norm.data.size(), 20U);
  const GgufTensor* half = file->find_tensor("half.weight");
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(half->dims[0], 4U) << "a row";
  EXPECT_EQ(half->dims[1], 3U);
  EXPECT_EQ(half->format->name, "F16");
  const GgufTensor* blocks = file->find_tensor("blocks.weight");
  ASSERT_NE(blocks, nullptr);
  EXPECT_EQ(blocks->format->name, "Q8_0");
  EXPECT_EQ(blocks->data.size(), 68U);
  EXPECT_EQ(blocks->data[0], std::byte{0x00});
  EXPECT_EQ(blocks->data[1], std::byte{0x38}) << "0.5 in half precision";
  EXPECT_EQ(file->find_tensor("other"), nullptr);
}

TEST(Gguf, GivesAnAnswerWhereverAFileIsCut) {
  std::string whole = sample();
  ASSERT_GT(whole.size(), 900U);
  // What follows the last tensor's 68 bytes is padding, which may be absent.
  std::size_t needed = whole.size() - (96 - 68);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::string cut = whole.substr(0, size);
    expect_an_answer(cut);
    EXPECT_EQ(Gguf::parse(as_bytes(cut), "x.gguf").has_value(), size >= needed) << size;
  }
}

TEST(Gguf, GivesAnAnswerWhateverBitIsFlipped) {
  std::string whole = sample();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      expect_an_answer(damaged);
    }
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~damaged[at]);
    expect_an_answer(damaged);
  }
}

TEST(Gguf, GivesAnAnswerWhateverNumberStandsInTheFieldOfALength) {
  std::string whole = sample();
  const std::uint64_t kNumbers[] = {0,
                                    1,
                                    std::uint64_t{1} << 31,
                                    (std::uint64_t{1} << 32) - 1,
                                    std::uint64_t{1} << 63,
                                    std::numeric_limits<std::uint64_t>::max()};
  // At every byte: so no field of a length is left out.
  for (std::size_t at = 0; at + 8 <= whole.size(); ++at) {
    for (std::uint64_t number : kNumbers) {
      std::string damaged = whole;
      expect_an_answer(damaged.replace(at, 8, raw(number)));
      damaged = whole;
      expect_an_answer(damaged.replace(at, 4, raw(static_cast<std::uint32_t>(number))));
    }
  }
}

TEST(Gguf, SaysWhatIsWrongWithAHeader) {
  EXPECT_EQ(refusal("GGUF"), "x.gguf: has 4 bytes, the header alone takes 24");
  EXPECT_EQ(refusal("text"), "x.gguf: is no GGUF file: it begins with 'text' instead of 'GGUF'");
  EXPECT_EQ(refusal("PK\3\4" + std::string(40, '\0')),
            "x.gguf: is no GGUF file: it begins with 'PK..' instead of 'GGUF'");
  EXPECT_THAT(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
              HasSubstr("is a Git LFS pointer to a file of 5 bytes"));
  GgufBytes file;
  file.version = 1;
  EXPECT_THAT(refusal(file), HasSubstr("version 1 of GGUF is out of use"));
  file.version = 4;
  EXPECT_THAT(refusal(file), HasSubstr("version 4 of GGUF is not known; known are 2 and 3"));
  file.version = 0x03000000;
  EXPECT_THAT(refusal(file), HasSubstr("a file of a big-endian machine"));
  EXPECT_EQ(refusal_of(file.bytes()).code, ErrorCode::invalid_argument);
  file.version = 2;
  EXPECT_TRUE(Gguf::parse(as_bytes(file.bytes()), "x"));
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  auto with = [](std::uint64_t tensors, std::uint64_t keys) {
    return "GGUF" + raw(std::uint32_t{3}, tensors, keys) + std::string(140, '\0');
  };
  EXPECT_EQ(refusal(with(70'000, 0)), "x.gguf: states 70000 tensors, the limit is 65536");
  EXPECT_EQ(refusal(with(0, ~std::uint64_t{0})),
            "x.gguf: states 18446744073709551615 keys, the limit is 65536");
  EXPECT_EQ(refusal(with(1, 10)),
            "x.gguf: states 10 keys and 1 tensors, which take at least 173 bytes, but only 140 "
            "follow");
}

TEST(Gguf, SaysWhichKeyIsWrong) {
  auto with = [](const std::string& key) {
    GgufBytes file;
    file.keys = {key};
    return refusal(file);
  };
  const auto kU32 = static_cast<std::uint32_t>(GgufType::u32);
  EXPECT_EQ(with(raw(std::uint64_t{99}) + "abcdefgh"),
            "x.gguf: the name of key 1 of 1 has a length of 99 bytes, but only 8 are left in the "
            "file");
  EXPECT_THAT(with(raw_text("") + raw(kU32, kU32)),
              HasSubstr("is '' of 0 bytes, must be 1 to 65535"));
  EXPECT_THAT(
      with(raw_text("k\xC3\xB6nig") + raw(kU32, kU32)),
      HasSubstr("is 'k\xC3\xB6nig' of 6 bytes, must be 1 to 65535 bytes of printable ASCII"));
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{13}, kU32)),
            "x.gguf: key 'a' has the value type 13, known are 0 to 12");
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{14}, std::uint64_t{0})),
            "x.gguf: key 'a' has the element type 14, known are 0 to 12");
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{9}, std::uint64_t{0})),
            "x.gguf: key 'a' is an array of arrays, which is not supported");
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{4}, std::uint64_t{3}, kU32)),
            "x.gguf: key 'a' has 3 elements of type u32, but the 4 bytes that are left in the file "
            "hold at most 1");
  EXPECT_THAT(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{10}, ~std::uint64_t{0} / 8)),
              HasSubstr("has 2305843009213693951 elements of type u64"));
  constexpr std::uint64_t kTooMany = (std::uint64_t{1} << 24) + 1;
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{0}, kTooMany) +
                 std::string(kTooMany, 'x')),
            "x.gguf: key 'a' has 16777217 elements, the limit is 16777216");
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{9}, std::uint32_t{8}, std::uint64_t{2}) +
                 raw_text("one") + raw(std::uint64_t{7}) + "two"),
            "x.gguf: key 'a'[1] has a length of 7 bytes, but only 3 are left in the file");
  EXPECT_EQ(with(raw_text("a") + raw(std::uint32_t{7}) + "\x02"),
            "x.gguf: key 'a' holds a bool that is 2, must be 0 or 1");
  EXPECT_THAT(with(raw_text("general.name") + raw(std::uint32_t{8}) + raw_text("\xFF\xFE")),
              HasSubstr("key 'general.name' is '\xEF\xBF\xBD\xEF\xBF\xBD', which is not UTF-8"));
  EXPECT_EQ(refusal(GgufBytes().integer("a", 1).integer("b", 1).integer("a", 1)),
            "x.gguf: key 'a' stands twice");
}

TEST(Gguf, ChecksTheKeysThatConcernTheFileItself) {
  EXPECT_EQ(refusal(GgufBytes().integer("general.alignment", 48)),
            "x.gguf: key 'general.alignment' is 48, must be a power of two");
  EXPECT_EQ(refusal(GgufBytes().integer("general.alignment", 4)),
            "x.gguf: key 'general.alignment' is 4, must be an integer in [8, 1048576]");
  EXPECT_THAT(refusal(GgufBytes().text("general.alignment", "32")),
              HasSubstr("key 'general.alignment' is '32', must be an integer"));
  EXPECT_EQ(refusal(GgufBytes().integer("general.quantization_version", 3)),
            "x.gguf: key 'general.quantization_version' is 3, must be an integer in [2, 2]");
  EXPECT_EQ(refusal(GgufBytes().text("general.type", "adapter")),
            "x.gguf: key 'general.type' is 'adapter', only 'model' can be served");
  EXPECT_EQ(refusal(GgufBytes().key("split.count", GgufType::u16, raw(std::uint16_t{3}))),
            "x.gguf: key 'split.count' is 3: the file is one part of many; merge them into one "
            "file");
  GgufBytes wide;
  wide.alignment = 64;
  wide.key("general.alignment", GgufType::u64, raw(std::uint64_t{64}));
  wide.zeros("a", {1}).zeros("b", {1});
  std::string bytes = wide.bytes();
  auto file = Gguf::parse(as_bytes(bytes), "x.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors()[1].data.data() - file->tensors()[0].data.data(), 64);
}

TEST(Gguf, SaysWhichTensorIsWrong) {
  auto with = [](const std::function<void(GgufBytes::Tensor&)>& change) {
    GgufBytes file;
    file.zeros("first", {32}).zeros("second", {32, 2});
    change(file.tensors[1]);
    return refusal(file);
  };
  using Tensor = GgufBytes::Tensor;
  EXPECT_EQ(with([](Tensor& t) { t.name = "first"; }), "x.gguf: tensor 'first' stands twice");
  EXPECT_THAT(with([](Tensor& t) { t.name = std::string(64, 'n'); }),
              HasSubstr("the name of tensor 2 of 2 is 'nnn"));
  EXPECT_THAT(with([](Tensor& t) { t.name = "\xFF"; }),
              HasSubstr("of 1 bytes, must be 1 to 63 bytes of UTF-8"));
  EXPECT_EQ(with([](Tensor& t) {
              t.dims = {1, 1, 1, 1, 1};
            }),
            "x.gguf: tensor 'second' has the rank 5, must be in [1, 4]");
  EXPECT_EQ(with([](Tensor& t) {
              t.dims = {32, 0};
            }),
            "x.gguf: tensor 'second' has the shape [32, 0], each dimension must be in [1, 2^40]");
  EXPECT_THAT(with([](Tensor& t) {
                t.dims = {(std::uint64_t{1} << 40) + 1, 1};
              }),
              HasSubstr("each dimension must be in [1, 2^40]"));
  EXPECT_THAT(with([](Tensor& t) {
                t.dims = {std::uint64_t{1} << 40, std::uint64_t{1} << 40};
              }),
              HasSubstr("which is more than 2^48 elements"));
  EXPECT_THAT(with([](Tensor& t) {
                t.dims = {std::uint64_t{1} << 32, std::uint64_t{1} << 16};
              }),
              HasSubstr("tensor 'second' has 1125899906842624 bytes from offset 128 on, but the "
                        "file has only 384 bytes of data"));
  EXPECT_EQ(with([](Tensor& t) {
              t.dims = {32, 3};
            }),
            "x.gguf: tensor 'second' has 384 bytes from offset 128 on, but the file has only 384 "
            "bytes of data");
  EXPECT_EQ(with([](Tensor& t) {
              t.type = 8;
              t.dims = {48, 2};
            }),
            "x.gguf: tensor 'second' has the shape [48, 2], but rows of Q8_0 are multiples of 32");
  EXPECT_EQ(with([](Tensor& t) { t.offset = 100; }),
            "x.gguf: tensor 'second' has the offset 100, must be a multiple of the alignment, "
            "which is 32");
  EXPECT_EQ(with([](Tensor& t) { t.offset = 96; }),
            "x.gguf: tensor 'second' has the offset 96, must be 128, where the one before it ends: "
            "they overlap");
  EXPECT_EQ(with([](Tensor& t) { t.offset = 160; }),
            "x.gguf: tensor 'second' has the offset 160, must be 128, where the one before it "
            "ends: there is a hole");
  EXPECT_THAT(with([](Tensor& t) { t.offset = ~std::uint64_t{0} - 31; }),
              HasSubstr("must be 128, where the one before it ends"));
}

TEST(Gguf, RefusesByNameWhatItDoesNotDecode) {
  auto with = [](std::uint32_t type) {
    GgufBytes file;
    file.zeros("w", {256});
    file.tensors[0].type = type;
    return refusal_of(file.bytes());
  };
  EXPECT_EQ(with(10).message,
            "x.gguf: tensor 'w' has the type 10 (Q2_K), which is not supported; supported are F32, "
            "F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K");
  EXPECT_EQ(with(10).code, ErrorCode::invalid_argument);
  EXPECT_THAT(with(4).message, HasSubstr("type 4 (Q4_2, which the format has given up)"));
  EXPECT_THAT(with(38).message, HasSubstr("type 38 (IQ4_NL_8_8, which the format has given up)"));
  EXPECT_THAT(with(39).message, HasSubstr("type 39 (MXFP4)"));
  EXPECT_THAT(with(4'000'000'000).message, HasSubstr("type 4000000000 (unknown)"));
}

TEST(Gguf, WantsTheDataToEndWithTheFile) {
  GgufBytes file;
  file.zeros("w", {1});
  file.behind = std::string(31, '\0');
  EXPECT_TRUE(Gguf::parse(as_bytes(file.bytes()), "x.gguf"));
  file.behind += '\0';
  EXPECT_EQ(refusal(file),
            "x.gguf: has 32 bytes behind its last tensor, must be less than the alignment, which "
            "is 32");
}

TEST(Gguf, TakesAFileWithoutTensors) {
  std::string bytes = GgufBytes().integer("a", 1).bytes();

  auto file = Gguf::parse(as_bytes(bytes), "x.gguf");

  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->tensors().empty());
}

class GgufFieldsTest : public ::testing::Test {
 protected:
  /// Reads keys of a file; the error, or nothing.
  std::string error_of(const GgufBytes& file, const std::function<void(GgufFields&)>& read) {
    std::string bytes = file.bytes();
    auto parsed = Gguf::parse(as_bytes(bytes), "x.gguf");
    EXPECT_TRUE(parsed) << parsed.error().message;
    GgufFields fields(*parsed);
    read(fields);
    return fields.failed() ? fields.error().message : "";
  }
};

TEST_F(GgufFieldsTest, ReadIntegersOfAnyType) {
  GgufBytes file;
  file.key("a", GgufType::u8, raw(std::uint8_t{7})).key("b", GgufType::i64, raw(std::int64_t{7}));
  file.key("c", GgufType::u64, raw(std::uint64_t{7})).integers("layers", {7, 7, 7});
  EXPECT_EQ(error_of(file,
                     [](GgufFields& fields) {
                       for (const char* key : {"a", "b", "c", "layers"})
                         EXPECT_EQ(fields.integer(key, 0, 10), 7) << key;
                       EXPECT_EQ(fields.integer("absent", 0, 10, 3), 3);
                     }),
            "");
}

TEST_F(GgufFieldsTest, NameTheKeyTheValueAndTheRange) {
  GgufBytes file;
  file.integer("a", 11).number("n", std::numeric_limits<float>::quiet_NaN()).text("t", "text");
  file.key("u", GgufType::u64, raw(~std::uint64_t{0})).integers("layers", {7, 8, 7});
  file.floats("f", {1, std::numeric_limits<float>::infinity()}).texts("texts", {"one", "three"});
  auto refused = [&](const std::function<void(GgufFields&)>& read) { return error_of(file, read); };
  EXPECT_EQ(refused([](auto& f) { f.integer("a", 0, 10); }),
            "x.gguf: key 'a' is 11, must be an integer in [0, 10]");
  EXPECT_EQ(refused([](auto& f) { f.integer("u", 0, 10); }),
            "x.gguf: key 'u' is 18446744073709551615, must be an integer in [0, 10]");
  EXPECT_EQ(refused([](auto& f) { f.integer("n", 0, 10); }),
            "x.gguf: key 'n' is nan, must be an integer in [0, 10]");
  EXPECT_EQ(refused([](auto& f) { f.integer("layers", 0, 10); }),
            "x.gguf: key 'layers' is an array of 3 i32, whose entries differ; a number for each "
            "layer is not supported");
  EXPECT_EQ(refused([](auto& f) { f.integer("none", 0, 10); }), "x.gguf: key 'none' is missing");
  EXPECT_EQ(refused([](auto& f) { f.number("n", 0, 1); }),
            "x.gguf: key 'n' is nan, must be a number in [0, 1]");
  EXPECT_EQ(refused([](auto& f) { f.number("a", 0, 100); }),
            "x.gguf: key 'a' is 11, must be a number in [0, 100]");
  EXPECT_EQ(refused([](auto& f) { f.boolean("a"); }), "x.gguf: key 'a' is 11, must be a bool");
  EXPECT_EQ(refused([](auto& f) { f.text("a", 10); }), "x.gguf: key 'a' is 11, must be a string");
  EXPECT_EQ(refused([](auto& f) { f.text("t", 3); }),
            "x.gguf: key 't' has 4 bytes, the limit is 3");
  EXPECT_EQ(refused([](auto& f) { f.texts("t", 3, 10); }),
            "x.gguf: key 't' is 'text', must be an array of strings");
  EXPECT_EQ(refused([](auto& f) { f.texts("texts", 1, 10); }),
            "x.gguf: key 'texts' has 2 entries, the limit is 1");
  EXPECT_EQ(refused([](auto& f) { f.texts("texts", 2, 4); }),
            "x.gguf: key 'texts' [1] has 5 bytes, the limit is 4");
  EXPECT_EQ(refused([](auto& f) { f.integers("layers", 3, 0, 7); }),
            "x.gguf: key 'layers' [1] is 8, must be an integer in [0, 7]");
  EXPECT_EQ(refused([](auto& f) { f.floats("f", 2); }),
            "x.gguf: key 'f' [1] is inf, must be finite");
}

TEST_F(GgufFieldsTest, KeepTheFirstError) {
  EXPECT_EQ(error_of(GgufBytes().integer("a", 1).integer("b", 1),
                     [](GgufFields& fields) {
                       fields.integer("a", 2, 3);
                       fields.integer("b", 2, 3);
                     }),
            "x.gguf: key 'a' is 1, must be an integer in [2, 3]");
}

}  // namespace
}  // namespace sluice
