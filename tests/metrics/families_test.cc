// The table of families follows Prometheus' rules for names, and the documentation follows it.
#include "metrics/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace sluice {
namespace {

TEST(Families, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;

  for (const Family& family : kFamilies)
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
}

TEST(Families, EndInTotalIfAndOnlyIfTheyAreCounters) {
  for (const Family& family : kFamilies)
    EXPECT_EQ(family.name.ends_with("_total"), family.type == MetricType::counter) << family.name;
}

TEST(Families, AreNamedInLowerCase) {
  auto is_plain = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) {
      return std::islower(c) || std::isdigit(c) || c == '_';
    });
  };

  for (const Family& family : kFamilies) {
    EXPECT_TRUE(family.name.starts_with("sluice_") || family.name.starts_with("process_"));
    EXPECT_TRUE(is_plain(family.name)) << family.name;
    for (std::string_view label : family.labels()) {
      EXPECT_TRUE(is_plain(label)) << family.name;
      EXPECT_NE(label, "le") << family.name;
    }
    EXPECT_TRUE(family.help.ends_with('.')) << family.name;
  }
}

TEST(Families, HaveRisingBoundsIfAndOnlyIfTheyAreHistograms) {
  for (const Family& family : kFamilies) {
    EXPECT_EQ(family.bounds.empty(), family.type != MetricType::histogram) << family.name;
    EXPECT_TRUE(std::is_sorted(family.bounds.begin(), family.bounds.end(), std::less_equal<>()))
        << family.name;
  }
}

std::string documented(const Family& family) {
  std::string row =
      "| `" + std::string(family.name) + "` | " + std::string(to_string(family.type)) + " | ";
  for (std::size_t i = 0; i < family.labels().size(); ++i)
    row += (i > 0 ? ", " : "") + std::string(family.labels()[i]);
  return row + (family.labels().empty() ? "| " : " | ") + std::string(family.help) + " |\n";
}

/// With SLUICE_REWRITE_DOCS=1 in the environment the page is written anew instead.
TEST(Families, AreDocumentedAsTheTableSays) {
  const std::string path = SLUICE_SOURCE_DIR "/docs/METRICS.md";
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string head = "| family | type | labels | meaning |\n| --- | --- | --- | --- |\n";
  std::size_t begin = text.find(head);
  ASSERT_NE(begin, std::string::npos) << path;
  begin += head.size();
  std::size_t end = text.find("\n\n", begin);
  end = end == std::string::npos ? text.size() : end + 1;
  std::string table;
  for (const Family& family : kFamilies)
    table += documented(family);

  if (std::getenv("SLUICE_REWRITE_DOCS") != nullptr)
    std::ofstream(path) << text.substr(0, begin) << table << text.substr(end);
  else
    EXPECT_EQ(text.substr(begin, end - begin), table)
        << "write it anew with SLUICE_REWRITE_DOCS=1 build/release/tests/metrics/metrics_test";
}

}  // namespace
}  // namespace sluice
