// What else may lie where a model's file should be.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// What a file is that stands where a model's file should be, from its first bytes: a Git LFS
/// pointer, a web page. Empty: nothing that is known.
std::string describe_stand_in(std::string_view first_bytes);

}  // namespace sluice
