// Folders of files for the tests of what reads them.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace sluice::testing {

/// A new, empty folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string path = ::testing::TempDir() + "sluice-models-XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    path_ = path;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& bytes) const {
    std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    return file;
  }

  /// Copies the files of another folder here.
  void copy_from(const std::string& folder) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      std::filesystem::copy_file(entry.path(), path_ + "/" + entry.path().filename().string());
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }

  /// Replaces the first occurrence of a text in a file, which must be there.
  void replace(const std::string& name, const std::string& from, const std::string& to) const {
    std::string bytes = read(name);
    std::size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write(name, bytes.replace(at, from.size(), to));
  }

 private:
  std::string path_;
};

}  // namespace sluice::testing
