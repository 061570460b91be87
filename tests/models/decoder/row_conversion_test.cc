#include "models/decoder/row_conversion.h"

#include "kernels/cpu/bf16.h"
#include "tests/models/checkpoint/gguf_bytes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::raw;

StoredTensor tensor_of(BlockType coding,
                       const std::string& bytes,
                       const std::vector<std::int64_t>& shape) {
  StoredTensor tensor;
  tensor.file = "x.gguf";
  tensor.name = "w";
  tensor.type = std::string(format_of(coding).name);
  tensor.coding = coding;
  if (coding == BlockType::f32) tensor.dtype = DType::f32;
  if (coding == BlockType::bf16) tensor.dtype = DType::bf16;
  tensor.shape = shape;
  tensor.data = reinterpret_cast<const std::byte*>(bytes.data());
  tensor.size_bytes = bytes.size();
  return tensor;
}

/// A number for each row: 0, 1, 2, ...
std::string counted(std::size_t rows, std::size_t columns) {
  std::string bytes;
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      bytes += raw(static_cast<float>(row));
  return bytes;
}

TEST(RowConversion, PutsPairsOfRowsApart) {
  // Two heads of six rows: pair i of a head lies at 2i and 2i + 1.
  std::string bytes = counted(12, 3);
  StoredTensor tensor = tensor_of(BlockType::f32, bytes, {12, 3});
  RowConversion conversion(tensor, DType::f32, RowOrder::paired, 6);
  ASSERT_EQ(conversion.rows(), 12U);
  ASSERT_EQ(conversion.row_bytes(), 12U);
  std::vector<float> target(36);

  ASSERT_TRUE(conversion.run(0, 12, reinterpret_cast<std::byte*>(target.data())));

  const std::vector<float> kExpected = {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11};
  for (std::size_t i = 0; i < target.size(); ++i)
    EXPECT_EQ(target[i], kExpected[i / 3]) << i;
}

TEST(RowConversion, DoesTheSameWithTheNumbersOfAVector) {
  std::string bytes = counted(8, 1);
  StoredTensor tensor = tensor_of(BlockType::f32, bytes, {8});
  RowConversion conversion(tensor, DType::f32, RowOrder::paired, 4);
  std::vector<float> target(8);

  ASSERT_TRUE(conversion.run(0, 8, reinterpret_cast<std::byte*>(target.data())));

  EXPECT_EQ(target, (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(RowConversion, AddsToEachNumber) {
  // A bf16 and an f32 of which the sum with 1 is no bf16.
  std::string halves = raw(std::uint16_t{0x3B80}) + raw(std::uint16_t{0xBF00});
  std::string floats = raw(0.00390625F) + raw(-0.5F);
  for (const StoredTensor& tensor :
       {tensor_of(BlockType::bf16, halves, {2}), tensor_of(BlockType::f32, floats, {2})}) {
    RowConversion conversion(tensor, DType::f32, RowOrder::same, 2, 1.0F);
    std::vector<float> target(2);

    ASSERT_TRUE(conversion.run(0, 2, reinterpret_cast<std::byte*>(target.data())));

    EXPECT_EQ(target, (std::vector<float>{1.00390625F, 0.5F}));
  }
}

TEST(RowConversion, GivesTheSameInPiecesAsInOne) {
  // Rows longer than what is decoded at once, in blocks, with rows apart.
  constexpr std::size_t kRows = 8;
  constexpr std::size_t kColumns = 32 * 40;
  std::string bytes;
  for (std::size_t block = 0; block < kRows * kColumns / 32; ++block) {
    bytes += raw(static_cast<std::uint16_t>(0x3800 + block));
    for (int i = 0; i < 32; ++i)
      bytes += static_cast<char>(static_cast<int>(block) * 7 + i);
  }
  StoredTensor tensor = tensor_of(BlockType::q8_0, bytes, {kRows, kColumns});
  std::vector<float> decoded(kRows * kColumns);
  decode_blocks(BlockType::q8_0, tensor.data, decoded);
  for (RowOrder order : {RowOrder::same, RowOrder::paired}) {
    RowConversion conversion(tensor, DType::bf16, order, 4);
    std::vector<std::uint16_t> whole(decoded.size());
    std::vector<std::uint16_t> pieces(decoded.size());
    ASSERT_TRUE(conversion.run(0, kRows, reinterpret_cast<std::byte*>(whole.data())));
    for (std::size_t row = 0; row < kRows; row += 3) {
      std::size_t count = std::min<std::size_t>(3, kRows - row);
      ASSERT_TRUE(
          conversion.run(row, count, reinterpret_cast<std::byte*>(pieces.data() + row * kColumns)));
    }
    EXPECT_EQ(whole, pieces);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      std::size_t source = conversion.source_row(i / kColumns) * kColumns + i % kColumns;
      ASSERT_EQ(whole[i], to_bf16(decoded[source])) << i;
    }
  }
}

TEST(RowConversion, RoundsToHalvesAndRefusesWhatTheyCannotHold) {
  std::string good = raw(1.0F + 0x1p-11F) + raw(-65504.0F) + raw(0x1p-24F) + raw(0x1p-26F);
  StoredTensor small = tensor_of(BlockType::f32, good, {2, 2});
  RowConversion fits(small, DType::f16, RowOrder::same, 2);
  std::vector<std::uint16_t> target(4);
  ASSERT_TRUE(fits.run(0, 2, reinterpret_cast<std::byte*>(target.data())));
  EXPECT_EQ(target, (std::vector<std::uint16_t>{0x3C00, 0xFBFF, 1, 0}));

  std::string bad = raw(1.0F) + raw(-70000.0F) + raw(80000.0F) + raw(0.0F);
  StoredTensor tensor = tensor_of(BlockType::f32, bad, {2, 2});
  for (RowOrder order : {RowOrder::same, RowOrder::paired}) {
    auto refused = RowConversion(tensor, DType::f16, order, 2)
                       .run(0, 2, reinterpret_cast<std::byte*>(target.data()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(refused.error().message,
              "x.gguf: tensor 'w' has the number -70000.000000, the most that f16 holds is 65504; "
              "dtype bf16 and f32 hold more");
  }
  EXPECT_TRUE(RowConversion(tensor, DType::bf16, RowOrder::same, 2)
                  .run(0, 2, reinterpret_cast<std::byte*>(target.data())));
}

TEST(RowConversion, FindsWhereANumberIsNotFinite) {
  std::string good = counted(4, 4);
  EXPECT_TRUE(check_finite(tensor_of(BlockType::f32, good, {4, 4})));
  std::string bad = good.replace(9 * 4, 4, raw(std::uint32_t{0x7FC00000}));
  auto found = check_finite(tensor_of(BlockType::f32, bad, {4, 4}));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "x.gguf: tensor 'w': number 9 is not finite");
  std::string blocks(3 * 34, '\0');
  blocks.replace(34, 2, raw(std::uint16_t{0x7C00}));
  found = check_finite(tensor_of(BlockType::q8_0, blocks, {3, 32}));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::data_loss);
  EXPECT_EQ(found.error().message,
            "x.gguf: tensor 'w': the Q8_0 block of the numbers 32 to 63 has a scale that is not "
            "finite");
}

}  // namespace
}  // namespace sluice
