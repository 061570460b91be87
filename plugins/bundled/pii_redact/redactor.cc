#include "redactor.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace pii {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_alnum(char c) {
  return is_digit(c) || is_letter(c);
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

/// A text whose end may not have come yet. Looking beyond what is there gives '\0' and is
/// remembered: the answer that was found then may change.
class Ahead {
 public:
  Ahead(std::string_view text, bool complete) : text_(text), complete_(complete) {}

  char operator[](std::size_t i) {
    if (i < text_.size()) return text_[i];
    missed_ |= !complete_;
    return '\0';
  }
  [[nodiscard]] bool missed() const { return missed_; }
  [[nodiscard]] std::string_view first(std::size_t size) const { return text_.substr(0, size); }

 private:
  std::string_view text_;
  bool complete_;
  bool missed_ = false;
};

// Each finder says how many bytes at the front of the text are what it looks for, or 0. It looks at
// no more than kHeldBytesMax bytes, and never past the first byte that settles its answer.

std::size_t find_email(Ahead& text) {
  constexpr std::size_t kLocalMax = 64;
  constexpr std::size_t kDomainMax = 255;
  auto is_local = [](char c) {
    return is_alnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-';
  };
  if (!is_alnum(text[0])) return 0;
  std::size_t at = 0;
  while (at <= kLocalMax && is_local(text[at]))
    ++at;
  if (at > kLocalMax || text[at] != '@' || text[at - 1] == '.') return 0;
  std::size_t domain = at + 1;
  std::size_t end = domain;
  while (end - domain < kDomainMax && (is_alnum(text[end]) || text[end] == '.' || text[end] == '-'))
    ++end;
  // The longest part that ends in a dot and two letters or more.
  std::string_view name = text.first(end).substr(std::min(domain, text.first(end).size()));
  std::size_t best = 0;
  std::size_t label = 0;
  for (std::size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '.') continue;
    std::string_view word = name.substr(label, i - label);
    if (word.empty() || word.front() == '-') break;
    while (!word.empty() && word.back() == '-')
      word.remove_suffix(1);
    bool letters = std::all_of(word.begin(), word.end(), is_letter);
    if (label > 0 && word.size() >= 2 && letters) best = label + word.size();
    if (label + word.size() != i) break;
    label = i + 1;
  }
  return best == 0 ? 0 : domain + best;
}

/// By country, in order.   Source: SWIFT, IBAN Registry.
struct IbanLength {
  std::string_view country;
  std::size_t length;
};
constexpr IbanLength kIbanLengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
    {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23},
    {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
};

/// ISO 7064, MOD 97-10, of the number with its first four characters at the end.
bool has_iban_check(std::string_view iban) {
  unsigned rest = 0;
  for (std::size_t i = 0; i < iban.size(); ++i) {
    char c = iban[(i + 4) % iban.size()];
    rest = is_digit(c) ? (rest * 10 + static_cast<unsigned>(c - '0')) % 97
                       : (rest * 100 + static_cast<unsigned>(c - 'A') + 10) % 97;
  }
  return rest == 1;
}

std::size_t find_iban(Ahead& text) {
  std::string iban;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!is_letter(text[i])) return 0;
    iban += upper(text[i]);
  }
  for (std::size_t i = 2; i < 4; ++i) {
    if (!is_digit(text[i])) return 0;
    iban += text[i];
  }
  const auto* country =
      std::find_if(std::begin(kIbanLengths), std::end(kIbanLengths), [&](const IbanLength& entry) {
        return iban.starts_with(entry.country);
      });
  if (country == std::end(kIbanLengths)) return 0;
  std::size_t at = 4;
  while (iban.size() < country->length) {
    if (text[at] == ' ') ++at;
    if (!is_alnum(text[at])) return 0;
    iban += upper(text[at++]);
  }
  return !is_alnum(text[at]) && has_iban_check(iban) ? at : 0;
}

/// The check digit of Luhn.   Source: ISO/IEC 7812-1, annex B.
bool has_luhn_check(std::string_view digits) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    auto digit = static_cast<unsigned>(digits[digits.size() - 1 - i] - '0');
    if (i % 2 == 1) digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
    sum += digit;
  }
  return sum % 10 == 0;
}

std::size_t find_card(Ahead& text) {
  constexpr std::size_t kDigitsMin = 13;
  constexpr std::size_t kDigitsMax = 19;
  if (!is_digit(text[0])) return 0;
  // A number may follow the card's after a blank: the longest run of groups that fits.
  std::size_t best = 0;
  std::string digits;
  std::size_t at = 0;
  while (digits.size() < kDigitsMax && is_digit(text[at])) {
    digits += text[at++];
    if (is_digit(text[at])) continue;
    if (digits.size() >= kDigitsMin && !is_letter(text[at]) && has_luhn_check(digits)) best = at;
    if (text[at] == ' ' || text[at] == '-') ++at;
  }
  return best;
}

/// Digits in groups with separators between them.
struct Groups {
  std::size_t digits = 0;
  std::size_t separators = 0;
  std::size_t end = 0;  ///< past the last digit
};

Groups read_groups(Ahead& text, std::size_t at, std::size_t digits_max) {
  Groups groups;
  std::size_t gap = 0;
  while (groups.digits <= digits_max) {
    char c = text[at];
    if (is_digit(c)) {
      groups.separators += gap > 0 && groups.digits > 0 ? 1 : 0;
      gap = 0;
      ++groups.digits;
      groups.end = ++at;
    } else if ((c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')') && gap < 3) {
      ++gap;
      ++at;
    } else {
      break;
    }
  }
  return groups;
}

/// 212-555-0123, (212) 555-0123, 1 212 555 0123.
std::size_t find_american_phone(Ahead& text) {
  std::size_t at = 0;
  auto separator = [&] {
    bool there = text[at] == ' ' || text[at] == '-' || text[at] == '.';
    at += there ? 1 : 0;
    return there;
  };
  auto digits = [&](std::size_t count) {
    while (count > 0 && is_digit(text[at]))
      ++at, --count;
    return count == 0;
  };
  if (text[0] == '1') {
    ++at;
    if (!separator()) return 0;
  }
  bool bracket = text[at] == '(';
  at += bracket ? 1 : 0;
  if (text[at] < '2' || text[at] > '9' || !digits(3)) return 0;
  if (bracket && text[at++] != ')') return 0;
  bool separated = separator();
  if (!bracket && !separated) return 0;
  if (!digits(3) || !separator() || !digits(4) || is_alnum(text[at])) return 0;
  return text[at] == '-' && is_digit(text[at + 1]) ? 0 : at;
}

std::size_t find_phone(Ahead& text) {
  if (text[0] == '+' || (text[0] == '0' && text[1] == '0')) {
    std::size_t start = text[0] == '+' ? 1 : 2;
    if (text[start] != '(' && !is_digit(text[start])) return 0;
    Groups groups = read_groups(text, start, 15);
    bool fits = groups.digits >= 8 && groups.digits <= 15;
    return fits && !is_alnum(text[groups.end]) ? groups.end : 0;
  }
  if (text[0] == '0' || (text[0] == '(' && text[1] == '0')) {
    Groups groups = read_groups(text, text[0] == '(' ? 1 : 0, 12);
    bool fits = groups.digits >= 9 && groups.digits <= 12 && groups.separators > 0;
    return fits && !is_alnum(text[groups.end]) ? groups.end : 0;
  }
  if (!is_digit(text[0]) && text[0] != '(') return 0;
  return find_american_phone(text);
}

std::size_t find_ipv4(Ahead& text) {
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && text[at++] != '.') return 0;
    std::size_t start = at;
    unsigned value = 0;
    while (at - start < 3 && is_digit(text[at]))
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    bool padded = at - start > 1 && text[start] == '0';
    if (at == start || padded || value > 255 || is_digit(text[at])) return 0;
  }
  bool goes_on = is_letter(text[at]) || (text[at] == '.' && is_digit(text[at + 1]));
  return goes_on ? 0 : at;
}

/// Whether a text of hexadecimal digits, colons and dots is an address.   Source: RFC 4291, 2.2.
bool is_ipv6(std::string_view text) {
  std::size_t groups = 0;
  bool gap = false;
  std::size_t at = 0;
  if (text.starts_with("::")) {
    gap = true;
    at = 2;
  }
  while (at < text.size()) {
    std::size_t end = std::min(text.find(':', at), text.size());
    std::string_view group = text.substr(at, end - at);
    if (group.find('.') != std::string_view::npos) {
      Ahead rest(group, true);
      if (end != text.size() || find_ipv4(rest) != group.size()) return false;
      groups += 2;
      at = end;
      break;
    }
    if (group.empty() || group.size() > 4) return false;
    ++groups;
    at = end;
    if (at == text.size()) break;
    if (text.substr(at, 2) == "::") {
      if (gap) return false;
      gap = true;
      at += 2;
    } else if (++at == text.size()) {
      return false;
    }
  }
  return gap ? groups < 8 : groups == 8;
}

std::size_t find_ipv6(Ahead& text) {
  constexpr std::size_t kLengthMax = 45;
  std::size_t end = 0;
  while (end <= kLengthMax && (is_hex(text[end]) || text[end] == ':' || text[end] == '.'))
    ++end;
  if (end > kLengthMax || is_alnum(text[end])) return 0;
  std::string_view run = text.first(end);
  while (!run.empty() && run.back() == '.')
    run.remove_suffix(1);
  // Without a digit it is rather a name in a program: dead::beef.
  bool digit = std::any_of(run.begin(), run.end(), is_digit);
  return digit && run.find(':') != std::string_view::npos && is_ipv6(run) ? run.size() : 0;
}

struct Finder {
  Kind kind;
  std::size_t (*find)(Ahead&);
};
constexpr Finder kFinders[] = {
    {Kind::email, find_email},
    {Kind::iban, find_iban},
    {Kind::card, find_card},
    {Kind::phone, find_phone},
    {Kind::ip, find_ipv6},
    {Kind::ip, find_ipv4},
};

/// Whether something may begin with `c` after `before`.
bool may_begin(char before, char c) {
  if (is_alnum(before)) return false;
  return is_alnum(c) || c == '+' || c == '(' || c == ':';
}

struct Found {
  Kind kind = Kind::email;
  std::size_t size = 0;
};

/// What begins at the front of a text: nothing for now if that cannot be told yet.
std::optional<Found> find(std::string_view text, char before, bool complete, Kinds kinds) {
  for (const Finder& finder : kFinders) {
    if (!(kinds & bit(finder.kind))) continue;
    // The inside of a longer thing with dots or colons is no address.
    if (finder.kind == Kind::ip && (before == '.' || before == ':')) continue;
    Ahead ahead(text, complete);
    std::size_t size = finder.find(ahead);
    if (ahead.missed()) return std::nullopt;
    if (size > 0) return Found{finder.kind, size};
  }
  return Found{};
}

}  // namespace

std::string Redactor::push(std::string_view piece, bool last) {
  held_ += piece;
  std::string out;
  std::size_t at = 0;
  while (at < held_.size()) {
    std::string_view rest = std::string_view(held_).substr(at);
    std::size_t size = 0;
    if (may_begin(before_, rest[0])) {
      auto found = find(rest, before_, last, kinds_);
      if (!found) break;
      size = found->size;
      if (size > 0) {
        auto index = static_cast<std::size_t>(found->kind);
        ++counts_[index];
        out += '[';
        out += kKindNames[index];
        out += ']';
      }
    }
    if (size == 0) {
      size = 1;
      out += rest[0];
    }
    before_ = rest[size - 1];
    at += size;
  }
  held_.erase(0, at);
  return out;
}

std::string redact(std::string_view text, Kinds kinds) {
  return Redactor(kinds).push(text, true);
}

}  // namespace pii
