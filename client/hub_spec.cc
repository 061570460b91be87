#include "client/hub_spec.h"

#include "client/terminal_text.h"
#include "net/ascii.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 96;  // the hub's own bound
constexpr std::size_t kRevisionBytesMax = 200;

/// As the hub allows them. "--" parts the names of the cache's folders.
bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return ascii::is_alnum(c) || c == '-' || c == '_' || c == '.';
  };
  const auto inside = [](char c) { return c != '-' && c != '.'; };
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), allowed) && inside(text.front()) &&
         inside(text.back()) && text.find("--") == std::string_view::npos &&
         text.find("..") == std::string_view::npos;
}

/// As Git allows them, and a little less.
bool is_revision(std::string_view text) {
  const auto allowed = [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("~^:?*[\\@{").find(c) == std::string_view::npos;
  };
  return !text.empty() && text.size() <= kRevisionBytesMax &&
         std::all_of(text.begin(), text.end(), allowed) && text.front() != '/' &&
         text.back() != '/' && text.find("//") == std::string_view::npos &&
         text.find("..") == std::string_view::npos && !text.starts_with("./") && text != "." &&
         text.find("/.") == std::string_view::npos;
}

bool is_quantization(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return ascii::is_alnum(c) || c == '_' || c == '-' || c == '.';
         });
}

}  // namespace

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return ascii::hex_value(c) >= 0 && ascii::lower(c) == c;
         });
}

Result<HubSpec> parse_hub_spec(std::string_view text) {
  const std::string shown = shown_line(text, 200);
  auto wrong = [&shown](const std::string& why) {
    return Error{ErrorCode::invalid_argument,
                 shown + ": " + why +
                     "; a model of the hub is hf:ORG/NAME, hf:ORG/NAME:Q4_K_M or "
                     "hf:ORG/NAME@REVISION"};
  };
  if (!text.starts_with("hf:")) return wrong("does not begin with hf:");
  std::string_view rest = text.substr(3);
  HubSpec spec;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    spec.revision = rest.substr(at + 1);
    if (!is_revision(spec.revision)) return wrong("what follows the @ is no revision");
    rest = rest.substr(0, at);
  }
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    spec.quantization = rest.substr(colon + 1);
    if (!is_quantization(spec.quantization))
      return wrong("what follows the second colon is no quantization");
    rest = rest.substr(0, colon);
  }
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return wrong("has no slash");
  spec.organization = rest.substr(0, slash);
  spec.name = rest.substr(slash + 1);
  if (!is_name(spec.organization)) return wrong("what stands before the slash is no name");
  if (!is_name(spec.name)) return wrong("what follows the slash is no name");
  return spec;
}

}  // namespace sluice
