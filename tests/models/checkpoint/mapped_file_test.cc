#include "models/checkpoint/mapped_file.h"

#include "base/hash.h"
#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

constexpr std::uint64_t kPiece = std::uint64_t{16} << 20;

class MappedFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<MappedFile> open(const std::string& bytes) {
    folder_.write("weights", bytes);
    return open_again();
  }
  std::unique_ptr<MappedFile> open_again() {
    auto file = MappedFile::open(path_);
    EXPECT_TRUE(file) << file.error().message;
    return file ? std::move(*file) : nullptr;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/weights";
};

TEST_F(MappedFileTest, ShowsTheBytesOfAFile) {
  auto file = open("some bytes");

  EXPECT_EQ(file->name(), "weights");
  EXPECT_EQ(file->path(), path_);
  ASSERT_EQ(file->bytes().size(), 10U);
  EXPECT_EQ(std::to_integer<char>(file->bytes()[5]), 'b');
  EXPECT_TRUE(open("")->bytes().empty());
}

TEST_F(MappedFileTest, SaysWhichFileIsNone) {
  auto absent = MappedFile::open(path_);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_EQ(absent.error().message, path_ + ": open: No such file or directory");
  auto folder = MappedFile::open(folder_.path());
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::data_loss);
  EXPECT_EQ(folder.error().message, folder_.path() + ": is not a regular file");
}

TEST_F(MappedFileTest, HashesEveryByteOfAFileOfAnySize) {
  for (std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{90} << 20}) {
    std::string bytes(size, '\x01');
    auto digest_of = [&] {
      auto file = open(bytes);
      EXPECT_TRUE(file->page_in({}));
      return file->digest().digest;
    };
    std::uint64_t before = digest_of();
    EXPECT_EQ(before, hash_bytes(bytes));
    if (size == 0) continue;

    // Between any two samples that somebody might take.
    bytes[size / 2] ^= 1;

    EXPECT_NE(digest_of(), before) << size;
  }
}

TEST_F(MappedFileTest, TellsEachPieceThatIsInMemory) {
  auto file = open(std::string(2 * kPiece + 5, 'x'));
  std::vector<std::uint64_t> pieces;

  auto there = file->page_in([&](std::uint64_t bytes) { pieces.push_back(bytes); });

  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(pieces, (std::vector<std::uint64_t>{kPiece, kPiece, 5}));
}

TEST_F(MappedFileTest, TakesTheDigestOfAFileThatHasNotChangedAndOfNoOther) {
  auto file = open("weights");
  ASSERT_TRUE(file->page_in({}));
  FileDigest known = file->digest();
  known.digest = 77;  // so that it is seen where it came from

  auto same = open_again();
  ASSERT_TRUE(same->page_in({}, {&known, 1}));
  EXPECT_EQ(same->digest().digest, 77U);

  for (auto member : {&FileIdentity::device, &FileIdentity::inode, &FileIdentity::size_bytes}) {
    FileDigest other = known;
    other.file.*member += 1;
    ASSERT_TRUE(same->page_in({}, {&other, 1}));
    EXPECT_NE(same->digest().digest, 77U);
  }
  for (auto member : {&FileIdentity::modified_ns, &FileIdentity::changed_ns}) {
    FileDigest other = known;
    other.file.*member += 1;
    ASSERT_TRUE(same->page_in({}, {&other, 1}));
    EXPECT_NE(same->digest().digest, 77U);
  }
}

TEST_F(MappedFileTest, SaysWhenItWasWrittenToButNotWhenAnotherTookItsName) {
  auto file = open("weights");
  ASSERT_TRUE(file->page_in({}));
  folder_.write("new", "weights");
  std::filesystem::rename(folder_.path() + "/new", path_);
  EXPECT_TRUE(file->is_intact());

  auto other = open_again();
  ASSERT_TRUE(other->page_in({}));
  // As a write would leave it: no test can wait for the clock of the file system.
  std::filesystem::last_write_time(
      path_, std::filesystem::last_write_time(path_) + std::chrono::seconds(1));

  EXPECT_FALSE(other->is_intact());

  // Who writes may put that time back, but not the time of change.
  auto third = open_again();
  ASSERT_TRUE(third->page_in({}));
  auto modified = std::filesystem::last_write_time(path_);
  for (int i = 0; i < 1'000'000 && third->is_intact(); ++i)  // until the clock has moved
    std::filesystem::last_write_time(path_, modified);
  EXPECT_FALSE(third->is_intact());
  auto again = other->page_in({});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("was changed while it was read"));
}

TEST_F(MappedFileTest, SaysWhichBytesCannotBeReadInsteadOfCrashing) {
  auto file = open(std::string(100'000, 'x'));
  std::filesystem::resize_file(path_, 5000);

  auto there = file->page_in({});

  ASSERT_FALSE(there);
  EXPECT_EQ(there.error().code, ErrorCode::data_loss);
  EXPECT_THAT(there.error().message,
              HasSubstr("weights: bytes 0 to 100000 of 100000 cannot be read: "));
}

TEST(FileDigestTest, IsReadBackFromItsText) {
  FileDigest digest{{1, 2, 3, -4, 5'000'000'000}, 0xFFFFFFFFFFFFFFFF};

  auto read = parse_file_digest(to_string(digest));

  ASSERT_TRUE(read);
  EXPECT_EQ(*read, digest);
  for (const char* text :
       {"", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:x", "a:2:3:4:5:6", "1:2:3:4:5:6 "})
    EXPECT_FALSE(parse_file_digest(text)) << text;
}

}  // namespace
}  // namespace sluice
