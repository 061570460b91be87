// Includes run downward, libraries stay at home, time and chance come through their ports: read
// from the sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// The floors, from the ground up. A folder includes itself and what lies below it.
const std::map<std::string, int, std::less<>> kFloors = {
    {"base", 1},
    {"gpu", 2},
    {"supervision", 2},
    {"net", 2},
    {"admission", 2},
    {"scheduling", 2},
    {"trace", 2},
    {"metrics", 2},
    {"kernels", 3},
    {"models", 4},
    {"engine", 5},
    {"api", 6},
    {"worker", 6},
    {"plugins", 6},
    {"actors", 7},
    {"client", 7},
    {"server", 8},
};

/// Folders beside the floors that may include anything.
const std::set<std::string, std::less<>> kFree = {"tests", "bench", "clients", "examples"};

/// What is built into other programs: it includes nothing of a floor, and its time, chance and
/// threads are its own.
constexpr std::string_view kApart = "clients";

/// The floors below `plugins` that it knows.
const std::set<std::string, std::less<>> kBelowPlugins = {
    "base", "net", "supervision", "admission", "plugins"};

/// The headers of C that are no system's.
const std::set<std::string, std::less<>> kCHeaders = {"assert.h",
                                                      "ctype.h",
                                                      "errno.h",
                                                      "limits.h",
                                                      "math.h",
                                                      "stdbool.h",
                                                      "stddef.h",
                                                      "stdint.h",
                                                      "stdio.h",
                                                      "stdlib.h",
                                                      "string.h",
                                                      "time.h"};

/// A library: what its includes start with, and the folders that may have them.
struct Library {
  std::string_view name;
  std::vector<std::string_view> includes;
  std::vector<std::string_view> homes;
};

const std::vector<Library> kLibraries = {
    {"libuv", {"uv.h", "uv/"}, {"net"}},
    {"libcurl", {"curl/"}, {"net"}},
    {"Boost.Beast", {"boost/beast", "boost/asio"}, {"net"}},
    {"Boost.JSON", {"boost/json"}, {"api", "models", "plugins"}},
    {"msgpack-cxx", {"msgpack"}, {"net", "worker"}},
    {"OpenSSL", {"openssl/"}, {"net"}},
    {"zlib", {"zlib.h"}, {"net"}},
    {"the sockets of the system",
     {"netinet/", "arpa/inet.h", "netdb.h", "sys/un.h", "sys/epoll.h"},
     {"net"}},
    {"the sockets of the system", {"sys/socket.h"}, {"net", "worker"}},
    {"the processes of the system", {"spawn.h", "sys/wait.h", "sys/pidfd.h"}, {"worker"}},
    {"CAF", {"caf/"}, {"supervision", "actors", "server"}},
    {"PCRE2", {"pcre2"}, {"models"}},
    {"utf8proc", {"utf8proc.h"}, {"models"}},
    {"spdlog", {"spdlog/"}, {"actors", "worker", "server"}},
    {"CLI11", {"CLI/"}, {"server"}},
    {"toml++", {"toml++", "toml.hpp"}, {"server"}},
    {"xxHash", {"xxhash.h", "xxh3.h"}, {"base"}},
    {"CUDA", {"cuda", "cublas", "cooperative_groups", "nvml.h", "mma.h"}, {"gpu", "kernels/cuda"}},
    {"the dynamic linker", {"dlfcn.h"}, {"plugins", "gpu"}},
    {"GoogleTest", {"gtest/", "gmock/"}, {}},
    {"Google Benchmark", {"benchmark/"}, {}},
};

/// A name that stands in few places only: the home of a port.
struct Port {
  std::string_view name;                  ///< as a whole word
  std::vector<std::string_view> but_not;  ///< what may follow the name without harm
  std::vector<std::string_view> homes;    ///< path prefixes
  std::string_view instead;
};

const std::vector<std::string_view> kThreadOwners = {"base/work_pool",
                                                     "net/event_loop",
                                                     "net/loop_impl",
                                                     "kernels/cpu/thread_pool",
                                                     "worker",
                                                     "server/resource_limits",
                                                     "bench",
                                                     "tests"};
constexpr std::string_view kThreadsBelong =
    "threads belong to event loops, the pools and the worker";  // and one asks for their number

const std::vector<Port> kPorts = {
    {"_clock::now", {}, {"base/clock.h", "bench", "tests"}, "time comes through base/clock.h"},
    {"rand(", {}, {}, "chance comes through base/random.h"},
    {"srand(", {}, {}, "chance comes through base/random.h"},
    {"random_device", {}, {"base/random.h"}, "chance comes through base/random.h"},
    {"sleep_for", {}, {}, "nothing sleeps: wait for what is meant"},
    {"sleep_until", {}, {}, "nothing sleeps: wait for what is meant"},
    {"usleep(", {}, {}, "nothing sleeps: wait for what is meant"},
    {"nanosleep(", {}, {}, "nothing sleeps: wait for what is meant"},
    {"std::thread", {"::id", "::hardware_concurrency"}, kThreadOwners, kThreadsBelong},
    {"std::jthread", {}, kThreadOwners, kThreadsBelong},
    {"pthread_create", {}, kThreadOwners, kThreadsBelong},
};

struct Finding {
  std::string file;
  std::size_t line = 0;
  std::string reason;
};

std::ostream& operator<<(std::ostream& out, const Finding& finding) {
  return out << finding.file << ":" << finding.line << ": " << finding.reason;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

/// The code of a source by lines: comments are blanked, and literals too unless `literals`.
class Code {
 public:
  Code(std::string_view text, bool literals) : text_(text), literals_(literals) {
    while (at_ < text_.size())
      step();
    lines_.push_back(line_);
  }
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  [[nodiscard]] bool next_is(std::string_view what) const {
    return text_.substr(at_).starts_with(what);
  }

  void keep(bool shown) {
    char c = text_[at_++];
    if (c == '\n') {
      lines_.push_back(std::exchange(line_, {}));
    } else {
      line_ += shown ? c : ' ';
    }
  }

  /// Blanks or keeps everything up to and with `end`.
  void skip_to(std::string_view end, bool shown) {
    while (at_ < text_.size() && !next_is(end))
      keep(shown);
    for (std::size_t i = 0; i < end.size() && at_ < text_.size(); ++i)
      keep(shown);
  }

  void step() {
    char c = text_[at_];
    char before = at_ > 0 ? text_[at_ - 1] : '\n';
    if (next_is("//")) {
      while (at_ < text_.size() && text_[at_] != '\n')
        keep(false);
    } else if (next_is("/*")) {
      skip_to("*/", false);
    } else if (next_is("R\"") && !is_word(before)) {
      auto open = text_.find('(', at_);
      if (open == std::string_view::npos) return keep(true);
      std::string end = ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
      skip_to("(", literals_);
      skip_to(end, literals_);
    } else if (c == '"' || (c == '\'' && !is_word(before))) {
      // A quote inside a number, 1'000, belongs to the number.
      keep(literals_);
      while (at_ < text_.size() && text_[at_] != c && text_[at_] != '\n') {
        if (text_[at_] == '\\' && at_ + 1 < text_.size()) keep(literals_);
        keep(literals_);
      }
      if (at_ < text_.size()) keep(literals_);
    } else {
      keep(true);
    }
  }

  std::string_view text_;
  bool literals_;
  std::size_t at_ = 0;
  std::string line_;
  std::vector<std::string> lines_;
};

std::string folder_of(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

bool is_header(std::string_view path) {
  return path.ends_with(".h") || path.ends_with(".hpp") || path.ends_with(".cuh");
}

bool is_source(std::string_view path) {
  return is_header(path) || path.ends_with(".cc") || path.ends_with(".cpp") ||
         path.ends_with(".c") || path.ends_with(".cu");
}

/// `home` is a folder or the start of a file's name: "net", "kernels/cuda", "net/event_loop".
bool lives_in(std::string_view path, std::string_view home) {
  if (!path.starts_with(home)) return false;
  return home.find('/') != std::string_view::npos || path.substr(home.size()).starts_with('/');
}

template <class Homes>
bool lives_in_one_of(std::string_view path, const Homes& homes) {
  return std::any_of(homes.begin(), homes.end(), [&](auto home) { return lives_in(path, home); });
}

/// The target of an include directive with its delimiter: `"base/ids.h"`, `<vector>`; or nothing.
std::string include_of(std::string_view line) {
  auto skip_blanks = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip_blanks();
  if (!line.starts_with('#')) return {};
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return {};
  line.remove_prefix(7);
  skip_blanks();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return {};
  auto end = line.find(line[0] == '"' ? '"' : '>', 1);
  return end == std::string_view::npos ? std::string() : std::string(line.substr(0, end + 1));
}

/// Why what outsiders build, the SDK or a bundled plugin, must not include this; or nothing.
std::string check_outside_include(std::string_view path, std::string_view include) {
  std::string_view target = include.substr(1, include.size() - 2);
  bool quoted = include[0] == '"';
  // A neighbour in the same folder, or a header of the C or C++ library.
  bool plain = target.find('/') == std::string_view::npos;
  bool standard = plain && !quoted &&
                  (target.find('.') == std::string_view::npos || kCHeaders.contains(target));
  if (standard || (plain && quoted)) return {};
  if (path.starts_with("plugins/sdk/")) {
    return "the SDK includes only itself and the standard library, not " + std::string(target);
  }
  if (!quoted && target.starts_with("sluice/")) return {};
  return "a plugin includes only the SDK and the standard library, not " + std::string(target);
}

/// Whether a file is built as if it stood outside of this tree.
bool is_outside(std::string_view path) {
  return path.starts_with("plugins/sdk/") || path.starts_with("plugins/bundled/");
}

/// Why a file must not include another one of ours, or nothing.
std::string check_own_include(std::string_view path, std::string_view target) {
  std::string from = folder_of(path);
  std::string to = folder_of(target);
  std::string shown(target);
  if (from == "plugins" && to == "plugins" && target.starts_with("plugins/bundled/"))
    return "bundled plugins are loaded, not included: " + shown;
  if (from == "plugins" && kFloors.contains(to) && !kBelowPlugins.contains(to))
    return "plugins stand on base, net, supervision and admission, not on " + shown;
  if (to == "plugins" && from != "plugins" && from != "actors" && from != "server")
    return "only actors and server know plugins, not " + from + ": " + shown;
  auto own = kFloors.find(from);
  if (own == kFloors.end() || from == to) return {};
  auto other = kFloors.find(to);
  if (other == kFloors.end()) {
    if (target.find('/') == std::string_view::npos)
      return "includes go from the root: \"" + from + "/" + shown + "\"";
    return shown + " is on no floor";
  }
  if (other->second > own->second)
    return "includes " + shown + " from above: " + to + " stands on floor " +
           std::to_string(other->second) + ", " + from + " on " + std::to_string(own->second);
  if (other->second == own->second)
    return "includes its neighbour " + shown + ": folders of one floor do not know each other";
  return {};
}

std::string check_library_include(std::string_view path, std::string_view target) {
  for (const Library& library : kLibraries) {
    bool hit = std::any_of(library.includes.begin(), library.includes.end(), [&](auto start) {
      return target.starts_with(start);
    });
    if (hit && !lives_in_one_of(path, library.homes))
      return "includes " + std::string(target) + ": " + std::string(library.name) +
             " is not at home here";
  }
  return {};
}

/// Whether `line` has `port.name` as a whole word and not followed by something harmless.
bool uses(std::string_view line, const Port& port) {
  for (auto at = line.find(port.name); at != std::string_view::npos;
       at = line.find(port.name, at + 1)) {
    std::string_view after = line.substr(at + port.name.size());
    bool starts = port.name[0] == '_' || at == 0 || !is_word(line[at - 1]);
    bool ends = !is_word(port.name.back()) || after.empty() || !is_word(after[0]);
    bool harmless = std::any_of(port.but_not.begin(), port.but_not.end(), [&](auto follower) {
      return after.starts_with(follower);
    });
    if (starts && ends && !harmless) return true;
  }
  return false;
}

bool asks_for_cuda(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  if (!line.starts_with('#')) return false;
  line.remove_prefix(1);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return (line.starts_with("if") || line.starts_with("elif")) &&
         line.find("CUDA") != std::string_view::npos;
}

/// Everything that is wrong with one source. `path` is relative to the root.
std::vector<Finding> check_source(std::string_view path, std::string_view text) {
  std::vector<Finding> findings;
  auto report = [&](std::size_t line, std::string reason) {
    if (!reason.empty()) findings.push_back({std::string(path), line, std::move(reason)});
  };
  std::string folder = folder_of(path);
  bool free = kFree.contains(folder);
  if (!free && !kFloors.contains(folder)) report(1, "the folder " + folder + " is on no floor");

  if (is_header(path)) {
    std::string_view first = text.substr(0, text.find('\n'));
    constexpr std::size_t kSentence = 20;
    if (!(first.starts_with("// ") || first.starts_with("/* ")) || first.size() < kSentence)
      report(1, "opens without a sentence saying what the file is for");
  }

  Code with_literals(text, true);
  Code bare(text, false);
  for (std::size_t i = 0; i < bare.lines().size(); ++i) {
    if (std::string include = include_of(with_literals.lines()[i]); !include.empty() && !free) {
      std::string_view target = std::string_view(include).substr(1, include.size() - 2);
      if (is_outside(path)) {
        report(i + 1, check_outside_include(path, include));
        continue;
      }
      if (include[0] == '"') report(i + 1, check_own_include(path, target));
      report(i + 1, check_library_include(path, target));
    }
    if (folder == kApart) {
      std::string include = include_of(with_literals.lines()[i]);
      std::string_view target = std::string_view(include).substr(include.empty() ? 0 : 1);
      if (include.starts_with('"') && kFloors.contains(target.substr(0, target.find('/'))))
        report(i + 1, "is not for other programs: " + include);
      continue;
    }
    for (const Port& port : kPorts)
      if (uses(bare.lines()[i], port) && !lives_in_one_of(path, port.homes))
        report(i + 1, "uses " + std::string(port.name) + ": " + std::string(port.instead));
    bool shared = is_header(path) && !path.ends_with(".cuh");
    if (shared && asks_for_cuda(bare.lines()[i]))
      report(i + 1, "asks for CUDA in a header: what a header says does not depend on the build");
  }
  return findings;
}

/// All sources below the root by their relative path.
std::map<std::string, std::string> read_sources(const fs::path& root) {
  std::map<std::string, std::string> sources;
  for (const auto& top : fs::directory_iterator(root)) {
    std::string name = top.path().filename().string();
    // Built things and what is written in other languages.
    bool built = name == "build" || fs::exists(top.path() / "CMakeCache.txt");
    bool other = name == "tools" || name == "docs";
    if (!top.is_directory() || name.starts_with('.') || built || other) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top.path())) {
      std::string path = fs::relative(entry.path(), root).generic_string();
      if (!entry.is_regular_file() || !is_source(path)) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      sources[path] = {std::istreambuf_iterator<char>(file), {}};
    }
  }
  return sources;
}

TEST(Floors, EverySourceKeepsTheRules) {
  auto sources = read_sources(SLUICE_SOURCE_DIR);

  EXPECT_GT(sources.size(), 100U) << "the sources were not found in " << SLUICE_SOURCE_DIR;
  for (const auto& [floor, number] : kFloors) {
    (void)number;
    bool seen = std::any_of(sources.begin(), sources.end(), [&](const auto& source) {
      return folder_of(source.first) == floor;
    });
    EXPECT_TRUE(seen) << "nothing was read of " << floor;
  }
  for (const auto& [path, text] : sources)
    for (const Finding& finding : check_source(path, text))
      ADD_FAILURE() << finding;
}

// The checks themselves, on sources that exist only here.

/// A source, and the reason for which its second line has to be refused.
struct Violation {
  const char* path;
  const char* line;
  const char* reason;
};

std::vector<Finding> check_line(std::string_view path, std::string_view line) {
  return check_source(path,
                      "// What this sample is for, in one sentence.\n" + std::string(line) + "\n");
}

void expect_violations(const std::vector<Violation>& violations) {
  for (const Violation& violation : violations) {
    auto findings = check_line(violation.path, violation.line);
    ASSERT_EQ(findings.size(), 1U) << violation.path << ": " << violation.line;
    EXPECT_EQ(findings[0].file, violation.path);
    EXPECT_EQ(findings[0].line, 2U);
    EXPECT_NE(findings[0].reason.find(violation.reason), std::string::npos)
        << violation.path << ": " << violation.line << " -> " << findings[0].reason;
  }
}

TEST(FloorsCheck, RefusesIncludesThatRunUpward) {
  expect_violations({
      {"base/a.h", R"(#include "net/http.h")", "from above"},
      {"net/a.cc", R"(#include "api/request.h")", "from above"},
      {"kernels/cpu/a.cc", R"(  #  include "models/model.h")", "from above"},
      {"engine/a.h", R"(#include "actors/messages.h")", "from above"},
      {"actors/a.cc", R"(#include "server/config.h")", "from above"},
      {"api/a.cc", R"(#include "tests/support/virtual_time.h")", "on no floor"},
      {"api/a.cc", R"(#include "request.h")", "from the root"},
  });
}

TEST(FloorsCheck, RefusesIncludesOfNeighbours) {
  expect_violations({
      {"net/a.h", R"(#include "admission/controller.h")", "neighbour"},
      {"gpu/a.cc", R"(#include "supervision/supervisor.h")", "neighbour"},
      {"api/a.cc", R"(#include "worker/protocol.h")", "neighbour"},
      {"worker/a.cc", R"(#include "api/request.h")", "neighbour"},
      {"client/a.cc", R"(#include "actors/messages.h")", "neighbour"},
  });
}

TEST(FloorsCheck, KeepsPluginsApart) {
  expect_violations({
      {"plugins/sdk/sluice/plugin.h", R"(#include "base/result.h")", "the SDK includes only"},
      {"plugins/sdk/sluice/plugin.hpp", "#include <sluice/plugin.h>", "the SDK includes only"},
      {"plugins/sdk/sluice/json.hpp", "#include <boost/json.hpp>", "the SDK includes only"},
      {"plugins/bundled/upper/upper.cc", R"(#include "base/result.h")", "only the SDK"},
      {"plugins/bundled/upper/upper.cc", R"(#include "plugins/loader.h")", "only the SDK"},
      {"plugins/bundled/upper/upper.cc", "#include <boost/json.hpp>", "only the SDK"},
      {"plugins/bundled/upper/upper.cc", "#include <unistd.h>", "only the SDK"},
      {"plugins/loader.cc", R"(#include "models/model.h")", "stand on base"},
      {"plugins/loader.cc", R"(#include "metrics/families.h")", "stand on base"},
      {"plugins/loader.cc", R"(#include "actors/messages.h")", "stand on base"},
      {"plugins/loader.cc", R"(#include "plugins/bundled/upper/upper.h")", "not included"},
      {"base/a.cc", R"(#include "plugins/loader.h")", "only actors and server"},
      {"worker/a.cc", R"(#include "plugins/loader.h")", "only actors and server"},
      {"client/a.cc", R"(#include "plugins/loader.h")", "only actors and server"},
  });
}

TEST(FloorsCheck, KeepsClientsApart) {
  EXPECT_EQ(check_source("clients/cpp/src/a.cc", "#include \"net/frame.h\"\n").size(), 1U);
  EXPECT_TRUE(check_source("clients/cpp/src/a.cc",
                           "#include \"codec.h\"\n#include <msgpack.hpp>\nstd::thread t;\n")
                  .empty());
}

TEST(FloorsCheck, RefusesLibrariesThatAreNotAtHome) {
  expect_violations({
      {"actors/a.cc", "#include <uv.h>", "libuv"},
      {"server/a.cc", "#include <curl/curl.h>", "libcurl"},
      {"api/a.cc", "#include <boost/beast/http.hpp>", "Boost.Beast"},
      {"server/a.cc", "#include <boost/json.hpp>", "Boost.JSON"},
      {"actors/a.cc", "#include <msgpack.hpp>", "msgpack-cxx"},
      {"api/a.cc", "#include <openssl/sha.h>", "OpenSSL"},
      {"server/a.cc", "#include <sys/socket.h>", "sockets"},
      {"worker/a.cc", "#include <netinet/in.h>", "sockets"},
      {"actors/a.cc", "#include <sys/wait.h>", "processes"},
      {"engine/a.cc", "#include <caf/all.hpp>", "CAF"},
      {"api/a.cc", "#include <pcre2.h>", "PCRE2"},
      {"engine/a.cc", "#include <spdlog/spdlog.h>", "spdlog"},
      {"worker/a.cc", "#include <CLI/CLI.hpp>", "CLI11"},
      {"models/a.cc", "#include <toml++/toml.h>", "toml++"},
      {"models/a.cc", "#include <xxhash.h>", "xxHash"},
      {"engine/a.cc", "#include <cuda_runtime.h>", "CUDA"},
      {"kernels/cpu/a.cc", "#include <cublas_v2.h>", "CUDA"},
      {"server/a.cc", "#include <dlfcn.h>", "dynamic linker"},
      {"base/a.cc", "#include <gtest/gtest.h>", "GoogleTest"},
      {"kernels/a.cc", "#include <benchmark/benchmark.h>", "Google Benchmark"},
  });
}

TEST(FloorsCheck, RefusesTimeChanceAndThreadsOutsideTheirPorts) {
  expect_violations({
      {"engine/a.cc", "auto t = std::chrono::steady_clock::now();", "base/clock.h"},
      {"actors/a.cc", "auto t = system_clock::now();", "base/clock.h"},
      {"actors/a.cc", "int r = rand();", "base/random.h"},
      {"tests/a_test.cc", "srand(1);", "base/random.h"},
      {"api/a.cc", "std::random_device device;", "base/random.h"},
      {"worker/a.cc", "std::this_thread::sleep_for(1s);", "nothing sleeps"},
      {"tests/a_test.cc", "std::this_thread::sleep_until(then);", "nothing sleeps"},
      {"net/a.cc", "usleep(10);", "nothing sleeps"},
      {"actors/a.cc", "std::thread thread([] {});", "threads belong"},
      {"net/listener.cc", "std::jthread thread([] {});", "threads belong"},
      {"engine/a.h", "std::vector<std::thread> threads_;", "threads belong"},
  });
}

TEST(FloorsCheck, RefusesHeadersThatDependOnCuda) {
  expect_violations({
      {"gpu/device.h", "#ifdef SLUICE_CUDA", "asks for CUDA"},
      {"gpu/device.h", "  # if defined(SLUICE_CUDA)", "asks for CUDA"},
      {"kernels/ops.h", "#elif __CUDA_ARCH__", "asks for CUDA"},
  });
}

TEST(FloorsCheck, RefusesHeadersThatDoNotSayWhatTheyAreFor) {
  for (const char* text : {"#pragma once\n", "", "\n// Too late, this sentence.\n", "// ids\n"}) {
    auto findings = check_source("base/a.h", text);
    ASSERT_EQ(findings.size(), 1U) << text;
    EXPECT_EQ(findings[0].line, 1U);
    EXPECT_NE(findings[0].reason.find("without a sentence"), std::string::npos);
  }
}

TEST(FloorsCheck, RefusesFoldersThatAreOnNoFloor) {
  auto findings = check_source("util/a.cc", "int x;\n");

  ASSERT_EQ(findings.size(), 1U);
  EXPECT_NE(findings[0].reason.find("util is on no floor"), std::string::npos);
}

TEST(FloorsCheck, LetsGoodSourcesPass) {
  const std::vector<std::pair<const char*, const char*>> good = {
      {"net/a.cc", "#include <uv.h>"},
      {"net/a.cc", R"(#include "base/result.h")"},
      {"net/a.cc", R"(#include "net/http.h")"},
      {"worker/spawn.cc", "#include <sys/socket.h>"},
      {"kernels/cuda/a.cu", "#include <cuda_runtime.h>"},
      {"api/json_tape.cc", "#include <boost/json/basic_parser_impl.hpp>"},
      {"actors/a.cc", "#include <caf/all.hpp>"},
      {"actors/a.cc", R"(#include "plugins/loader.h")"},
      {"plugins/loader.cc", R"(#include "plugins/sdk/sluice/plugin.h")"},
      {"plugins/loader.cc", R"(#include "net/digest.h")"},
      {"plugins/loader.cc", "#include <dlfcn.h>"},
      {"plugins/manifest.cc", "#include <boost/json.hpp>"},
      {"plugins/sdk/sluice/plugin.h", "#include <stdint.h>"},
      {"plugins/sdk/sluice/plugin.hpp", R"(#include "plugin.h")"},
      {"plugins/bundled/upper/upper.cc", "#include <sluice/plugin.hpp>"},
      {"plugins/bundled/upper/upper.cc", R"(#include "manifest.h")"},
      {"plugins/bundled/upper/upper.cc", "#include <string>"},
      {"tests/net/a_test.cc", "#include <gtest/gtest.h>"},
      {"tests/net/a_test.cc", R"(#include "server/config.h")"},
      {"bench/a.cc", "auto t = std::chrono::steady_clock::now();"},
      {"base/clock.h", "return std::chrono::steady_clock::now();"},
      {"base/random.h", "std::random_device device;"},
      {"net/event_loop.cc", "std::thread thread_;"},
      {"kernels/cpu/thread_pool.h", "std::vector<std::thread> threads_;"},
      {"actors/a.cc", "auto n = std::thread::hardware_concurrency();"},
      {"actors/a.cc", "std::thread::id id;"},
      {"actors/a.cc", "clock_->now(); operand(3); my_rand(); strand(1);"},
      {"actors/a.cc", "// std::thread is not for us, nor is rand()"},
      {"actors/a.cc", "/* steady_clock::now() */ int x = 1'000;"},
      {"actors/a.cc", R"(log("sleep_for and rand() \" std::thread");)"},
      {"actors/a.cc", "auto s = R\"x(rand() \" )\" std::thread)x\";"},
      {"actors/a.cc", "// #include \"server/config.h\""},
      {"gpu/cuda_device.cc", "#ifdef SLUICE_CUDA"},
  };
  for (auto [path, line] : good)
    for (const Finding& finding : check_line(path, line))
      ADD_FAILURE() << finding << " in: " << line;
}

TEST(FloorsCheck, SeesCodeBehindLiteralsAndComments) {
  EXPECT_EQ(check_source("actors/a.cc", "char q = '\"'; int r = rand();\n").size(), 1U);
  EXPECT_EQ(check_source("actors/a.cc", "/* one\n two */ int r = rand();\n").size(), 1U);
  EXPECT_EQ(check_source("actors/a.cc", "auto s = R\"(a\n)\"; int r = rand();\n")[0].line, 2U);
  EXPECT_EQ(check_source("actors/a.cc", "f(\"\\\\\"); int r = rand();\n").size(), 1U);
  EXPECT_EQ(check_source("actors/a.cc", "int n = 1'000; int r = rand(); int m = 2'000;\n").size(),
            1U);
}

}  // namespace
}  // namespace sluice
