// The binary that runs.
#pragma once

#include <filesystem>
#include <string>

namespace sluice {

/// Names it even after another has taken its place in the file system.
constexpr const char* kOwnProgram = "/proc/self/exe";

/// Where it lies.
inline std::string program_path() {
  return std::filesystem::read_symlink(kOwnProgram).string();
}

}  // namespace sluice
