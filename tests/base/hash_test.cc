#include "base/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>
#include <string>

namespace sluice {
namespace {

TEST(Mix64, GivesTheNumbersOfSplitMix64) {
  // The first outputs of SplitMix64 for state 0: the state grows by the golden gamma each time.
  EXPECT_EQ(mix64(0), 0xE220A8397B1DCDAF);
  EXPECT_EQ(mix64(0x9E3779B97F4A7C15), 0x6E789E6AA1B965F4);
  EXPECT_EQ(mix64(2 * 0x9E3779B97F4A7C15), 0x06C45D188009454F);
}

TEST(Mix64, MovesAboutHalfOfTheBitsForEveryInputBit) {
  for (int bit = 0; bit < 64; ++bit) {
    int moved = 0;
    for (std::uint64_t x = 0; x < 256; ++x)
      moved += std::popcount(mix64(x) ^ mix64(x ^ std::uint64_t{1} << bit));

    EXPECT_NEAR(moved / 256.0, 32.0, 2.0) << "input bit " << bit;
  }
}

TEST(HashBytes, GivesThePublishedValueOfTheEmptyString) {
  EXPECT_EQ(hash_bytes(""), 0x2D06800538D394C2);
}

TEST(HashBytes, DependsOnEveryByteAndOnTheSeed) {
  std::string text(300, 'a');
  std::set<std::uint64_t> hashes{hash_bytes(text), hash_bytes(text, 1)};
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = 'b';
    hashes.insert(hash_bytes(changed));
  }

  EXPECT_EQ(hashes.size(), 302U);
}

TEST(Hash, OfPiecesIsThatOfTheWhole) {
  std::string bytes(100'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(mix64(i));
  for (std::size_t piece : {std::size_t{1}, std::size_t{255}, std::size_t{65'536}}) {
    Hasher hasher;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      hasher.add(bytes.data() + at, std::min(piece, bytes.size() - at));
    EXPECT_EQ(hasher.value(), hash_bytes(bytes)) << piece;
  }
  EXPECT_EQ(Hasher().value(), hash_bytes(""));
}

TEST(Hash, Has128StableBits) {
  EXPECT_EQ(hash128("a"), hash128("a"));
  EXPECT_NE(hash128("a"), hash128("b"));
  EXPECT_EQ(hash128("").low, 0x6001C324468D497F);  // as xxHash's specification has it
  EXPECT_EQ(hash128("").high, 0x99AA06D3014798D8);
}

}  // namespace
}  // namespace sluice
