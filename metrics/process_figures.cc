#include "metrics/process_figures.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

namespace sluice {
namespace {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

/// What stands behind `name` at the beginning of a line.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  for (std::size_t at = text.find(name); at != std::string_view::npos;
       at = text.find(name, at + 1)) {
    if (at > 0 && text[at - 1] != '\n') continue;
    std::string_view rest = text.substr(at + name.size());
    std::size_t blanks = rest.find_first_not_of(" \t");
    return blanks == std::string_view::npos ? std::nullopt : number_of(rest.substr(blanks));
  }
  return std::nullopt;
}

/// Newer kernels say it at once; older ones have every one of them listed.
std::uint64_t count_descriptors() {
  struct stat folder {};
  if (::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
    return static_cast<std::uint64_t>(folder.st_size);
  DIR* listing = ::opendir("/proc/self/fd");
  if (listing == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(listing))
    count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(listing);
  return count - 1;  // the listing itself
}

}  // namespace

std::optional<ProcessFigures> parse_process_stat(std::string_view line,
                                                 double ticks_per_second,
                                                 std::uint64_t page_bytes) {
  // The name in parentheses may hold blanks and parentheses itself.
  std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::vector<std::string_view> fields;
  for (std::string_view rest = line.substr(name_end + 1);;) {
    std::size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) break;
    std::size_t end = std::min(rest.find_first_of(" \n", begin), rest.size());
    fields.push_back(rest.substr(begin, end - begin));
    rest.remove_prefix(end);
  }
  // Numbered as in proc(5), where the state behind the name is the third.
  auto at = [&fields](std::size_t number) -> std::optional<std::uint64_t> {
    return number - 3 < fields.size() ? number_of(fields[number - 3]) : std::nullopt;
  };
  auto user = at(14);
  auto system = at(15);
  auto threads = at(20);
  auto start = at(22);
  auto virtual_bytes = at(23);
  auto resident = at(24);
  if (!user || !system || !threads || !start || !virtual_bytes || !resident) return std::nullopt;
  ProcessFigures figures;
  figures.cpu_seconds = static_cast<double>(*user + *system) / ticks_per_second;
  figures.start_seconds = static_cast<double>(*start) / ticks_per_second;
  figures.threads = *threads;
  figures.virtual_bytes = *virtual_bytes;
  figures.resident_bytes = *resident * page_bytes;
  return figures;
}

std::optional<ProcessFigures> read_process_figures() {
  auto line = read_file("/proc/self/stat");
  if (!line) return std::nullopt;
  auto figures = parse_process_stat(*line,
                                    static_cast<double>(::sysconf(_SC_CLK_TCK)),
                                    static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  if (!figures) return std::nullopt;
  // It never changes, and the file has a line for every interrupt.
  static const std::uint64_t booted =
      field(read_file("/proc/stat").value_or(""), "btime").value_or(0);
  figures->start_seconds += static_cast<double>(booted);
  figures->open_descriptors = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) figures->descriptors_max = limit.rlim_cur;
  return figures;
}

std::optional<ResidentMemory> parse_resident_memory(std::string_view status) {
  constexpr std::uint64_t kKiB = 1024;
  auto own = field(status, "RssAnon:");
  auto file = field(status, "RssFile:");
  if (!own || !file) return std::nullopt;
  return ResidentMemory{(*own + field(status, "RssShmem:").value_or(0)) * kKiB, *file * kKiB};
}

std::optional<ResidentMemory> read_resident_memory(std::int64_t pid) {
  auto status = read_file("/proc/" + std::to_string(pid) + "/status");
  return status ? parse_resident_memory(*status) : std::nullopt;
}

std::optional<ResidentMemory> read_resident_memory() {
  return read_resident_memory(::getpid());
}

}  // namespace sluice
