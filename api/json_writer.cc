#include "api/json_writer.h"

#include "base/utf8.h"

#include <array>
#include <cmath>

namespace sluice {
namespace {

/// Bytes that cannot stand in a JSON string as they are.
constexpr std::array<bool, 256> kSpecial = [] {
  std::array<bool, 256> special{};
  for (std::size_t byte = 0; byte < 0x20; ++byte)
    special[byte] = true;
  special['"'] = special['\\'] = true;
  return special;
}();

void append_escape(std::string& out, unsigned char byte) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (byte) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    default:
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  out.push_back('"');
  std::size_t plain = 0;  // start of the run that needs no escape
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto byte = static_cast<unsigned char>(text[at]);
    if (!kSpecial[byte]) continue;
    out.append(text.substr(plain, at - plain));
    append_escape(out, byte);
    plain = at + 1;
  }
  out.append(text.substr(plain));
  out.push_back('"');
}

void append_json_float(std::string& out, float number) {
  if (!std::isfinite(number)) {
    out += "-9999.0";
    return;
  }
  char digits[32];
  auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out.append(text);
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

}  // namespace sluice
