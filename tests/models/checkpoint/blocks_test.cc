#include "models/checkpoint/blocks.h"

#include "models/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace sluice {
namespace {

class BlocksGolden : public ::testing::TestWithParam<BlockType> {};

TEST_P(BlocksGolden, DecodesToTheBitsOfTheGgufPackage) {
  auto file = SafetensorsFile::open(SLUICE_SOURCE_DIR "/tests/golden/gguf/blocks.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  std::string name(format_of(GetParam()).name);
  const StoredTensor* blocks = nullptr;
  const StoredTensor* values = nullptr;
  for (const StoredTensor& tensor : (*file)->tensors()) {
    if (tensor.name == name + ".blocks") blocks = &tensor;
    if (tensor.name == name + ".values") values = &tensor;
  }
  ASSERT_TRUE(blocks != nullptr && values != nullptr);
  std::vector<std::uint32_t> expected(values->size_bytes / 4);
  std::memcpy(expected.data(), values->data, values->size_bytes);
  ASSERT_GE(expected.size(), 16U);
  ASSERT_EQ(expected.size() / format_of(GetParam()).elements * format_of(GetParam()).bytes,
            blocks->size_bytes);

  std::vector<float> decoded(expected.size());
  decode_blocks(GetParam(), blocks->data, decoded);

  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(decoded[i]), expected[i])
        << "element " << i << ": " << decoded[i] << " and " << std::bit_cast<float>(expected[i]);
}

INSTANTIATE_TEST_SUITE_P(All,
                         BlocksGolden,
                         ::testing::Values(BlockType::f16,
                                           BlockType::bf16,
                                           BlockType::q4_0,
                                           BlockType::q4_1,
                                           BlockType::q5_0,
                                           BlockType::q5_1,
                                           BlockType::q8_0,
                                           BlockType::q4_k,
                                           BlockType::q5_k,
                                           BlockType::q6_k),
                         [](const auto& type) { return std::string(format_of(type.param).name); });

TEST(Blocks, DecodeFromAnyAddressAndAllOfARow) {
  // 2.0 and the numbers 0 to 31, then -0.5 and 0 to -31, at an odd address.
  std::string bytes = "x";
  for (int sign : {1, -1}) {
    bytes += sign > 0 ? std::string("\x00\x40", 2) : std::string("\x00\xB8", 2);
    for (int i = 0; i < 32; ++i)
      bytes += static_cast<char>(sign * i);
  }
  std::vector<float> values(64);

  decode_blocks(BlockType::q8_0, reinterpret_cast<const std::byte*>(bytes.data()) + 1, values);

  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(values[static_cast<std::size_t>(i)], 2.0F * static_cast<float>(i));
    EXPECT_EQ(values[static_cast<std::size_t>(32 + i)], 0.5F * static_cast<float>(i));
  }
}

/// Where the halves or floats of a block lie that must be finite.
const std::map<BlockType, std::vector<std::size_t>> kScales = {{BlockType::f32, {2}},
                                                               {BlockType::f16, {0}},
                                                               {BlockType::bf16, {0}},
                                                               {BlockType::q4_0, {0}},
                                                               {BlockType::q4_1, {0, 2}},
                                                               {BlockType::q5_0, {0}},
                                                               {BlockType::q5_1, {0, 2}},
                                                               {BlockType::q8_0, {0}},
                                                               {BlockType::q4_k, {0, 2}},
                                                               {BlockType::q5_k, {0, 2}},
                                                               {BlockType::q6_k, {208}}};

TEST(Blocks, KnowAScaleThatIsNotFinite) {
  for (const auto& [type, scales] : kScales) {
    const BlockFormat& format = format_of(type);
    // All bits set: what is not a scale may look like a NaN.
    std::string good(3 * format.bytes, '\xFF');
    for (std::size_t block = 0; block < 3; ++block)
      for (std::size_t at : scales)
        good.replace(block * format.bytes + at, 2, "\x01\x3B");
    auto found = [&](const std::string& bytes) {
      return find_not_finite(type, reinterpret_cast<const std::byte*>(bytes.data()), 3);
    };
    EXPECT_EQ(found(good), std::nullopt) << format.name;
    for (std::size_t at : scales) {
      for (const char* wrong : {"\x01\x7F", "\x01\xFF"}) {  // NaN, as half and as bf16
        if (type == BlockType::f16 || format.elements > 1)
          wrong = wrong[1] == '\x7F' ? "\x01\x7C" : "\x01\xFC";
        std::string bad = good;
        bad.replace(2 * format.bytes + at, 2, wrong);
        if (type == BlockType::f32 || type == BlockType::bf16) bad[2 * format.bytes + at] = '\x80';
        EXPECT_EQ(found(bad), 2U) << format.name << ", byte " << at;
      }
    }
  }
}

TEST(Blocks, NameWhatIsAndWhatIsNotDecoded) {
  EXPECT_EQ(find_block_format(12)->name, "Q4_K");
  EXPECT_EQ(find_block_format(30)->bytes, 2U);
  EXPECT_EQ(find_block_format(10), nullptr);
  EXPECT_EQ(describe_block_type(20), "IQ4_NL");
  EXPECT_EQ(describe_block_type(99), "unknown");
}

}  // namespace
}  // namespace sluice
