#include "models/stand_in.h"

#include <algorithm>

namespace sluice {

std::string describe_stand_in(std::string_view first_bytes) {
  constexpr std::string_view kSize = "\nsize ";
  std::string_view text = first_bytes.substr(0, 256);
  if (text.starts_with("version https://git-lfs.github.com/spec/")) {
    std::string bytes;
    if (std::size_t size = text.find(kSize); size != std::string_view::npos) {
      std::string_view number = text.substr(size + kSize.size());
      number = number.substr(0, std::min(number.find_first_not_of("0123456789"), number.size()));
      if (!number.empty()) bytes = " of " + std::string(number) + " bytes";
    }
    return "is a Git LFS pointer to a file" + bytes +
           ", not the file; run 'git lfs pull' in its folder";
  }
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  for (std::string_view mark : {"<!DOCTYPE", "<!doctype", "<html", "<HTML", "<?xml"}) {
    if (text.starts_with(mark)) return "is a web page, not the file; the download went wrong";
  }
  return "";
}

}  // namespace sluice
