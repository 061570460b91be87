#include "server/cheaper_models.h"

#include "base/utf8.h"

#include <algorithm>
#include <set>

namespace sluice {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names)
    list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_cheaper(
    const std::vector<std::string>& texts, const std::vector<std::string>& served) {
  std::vector<std::pair<std::string, std::string>> pairs;
  std::set<std::string> given;
  for (const std::string& text : texts) {
    auto wrong = [&text](const std::string& why) {
      return Error{ErrorCode::invalid_argument, "--cheaper " + excerpt(text, 100) + ": " + why};
    };
    std::size_t sign = text.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size())
      return wrong("is written MODEL=OTHER, the names of two models that are served");
    std::pair<std::string, std::string> pair(text.substr(0, sign), text.substr(sign + 1));
    for (const std::string& name : {pair.first, pair.second})
      if (std::find(served.begin(), served.end(), name) == served.end())
        return wrong("no model " + excerpt(name, 100) + " is served; there is " + joined(served));
    if (pair.first == pair.second) return wrong("a model is not cheaper than itself");
    if (!given.insert(pair.first).second)
      return wrong("the model " + pair.first + " has been given another one already");
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

}  // namespace sluice
