#include "time_zone.h"

#include "calendar.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace hours {

/// Reads a POSIX rule from left to right.
class PosixReader {
 public:
  explicit PosixReader(std::string_view text) : text_(text), rest_(text) {}

  void read(PosixRule& rule) {
    name();
    rule.standard_ = -time(24);
    rule.daylight_ = rule.standard_ + 3600;
    if (rest_.empty()) return;
    name();
    if (!rest_.empty() && rest_[0] != ',') rule.daylight_ = -time(24);
    rule.begin_ = change();
    rule.end_ = change();
    if (!rest_.empty()) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw std::runtime_error("not a time zone rule: " + std::string(text_.substr(0, 80)));
  }

  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// Of a zone: letters, or anything but < and > between these.
  void name() {
    bool quoted = take('<');
    std::size_t size = 0;
    while (size < rest_.size() && (quoted ? rest_[size] != '>'
                                          : (rest_[size] >= 'A' && rest_[size] <= 'Z') ||
                                                (rest_[size] >= 'a' && rest_[size] <= 'z')))
      ++size;
    if (size < 3) fail();
    rest_.remove_prefix(size);
    if (quoted && !take('>')) fail();
  }

  int number(int min, int max) {
    int value = 0;
    std::size_t size = 0;
    while (size < rest_.size() && size < 4 && rest_[size] >= '0' && rest_[size] <= '9')
      value = value * 10 + (rest_[size++] - '0');
    if (size == 0 || value < min || value > max) fail();
    rest_.remove_prefix(size);
    return value;
  }

  /// [+-]hours[:minutes[:seconds]], in seconds.
  std::int32_t time(int hours_max) {
    int sign = take('-') ? -1 : 1;
    if (sign > 0) take('+');
    std::int32_t seconds = number(0, hours_max) * 3600;
    if (take(':')) seconds += number(0, 59) * 60;
    if (take(':')) seconds += number(0, 59);
    return sign * seconds;
  }

  PosixRule::Change change() {
    using Form = PosixRule::Change::Form;
    PosixRule::Change change;
    if (!take(',')) fail();
    if (take('M')) {
      change.form = Form::month_week_day;
      change.month = number(1, 12);
      if (!take('.')) fail();
      change.week = number(1, 5);
      if (!take('.')) fail();
      change.day = number(0, 6);
    } else if (take('J')) {
      change.form = Form::julian;
      change.day = number(1, 365);
    } else {
      change.form = Form::zero_based;
      change.day = number(0, 365);
    }
    // RFC 8536 lets the time go from -167 to 167 hours.
    if (take('/')) change.time = time(167);
    return change;
  }

  std::string_view text_;
  std::string_view rest_;
};

PosixRule::PosixRule(std::string_view text) {
  PosixReader(text).read(*this);
}

/// In seconds of the clocks that hold before the change.
std::int64_t PosixRule::moment(const Change& change, std::int64_t year) {
  std::int64_t days = days_of(year, 1, 1);
  if (change.form == Change::Form::zero_based) {
    days += change.day;
  } else if (change.form == Change::Form::julian) {
    // 29 February is never counted.
    days += change.day - 1 + (change.day >= 60 && is_leap(year) ? 1 : 0);
  } else {
    days = days_of(year, change.month, 1);
    int until_weekday = (change.day - weekday_of(days) + 7) % 7;
    int day = until_weekday + 7 * (change.week - 1);
    while (day >= days_in_month(year, change.month))
      day -= 7;
    days += day;
  }
  return days * kDaySeconds + change.time;
}

std::int32_t PosixRule::offset(std::int64_t unix_s) const {
  if (!begin_) return standard_;
  std::int64_t year = year_of(floor_div(unix_s + standard_, kDaySeconds));
  std::int64_t begin = moment(*begin_, year) - standard_;
  std::int64_t end = moment(end_, year) - daylight_;
  // In the south daylight saving lasts over the turn of the year.
  bool daylight = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
  return daylight ? daylight_ : standard_;
}

namespace {

/// Takes big-endian numbers from the front of bytes.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  std::string_view take(std::size_t size) {
    if (size > rest_.size()) throw std::runtime_error("a time zone file ends early");
    std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::int64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (char c : take(size))
      value = value << 8 | static_cast<unsigned char>(c);
    unsigned unused = 64 - 8 * static_cast<unsigned>(size);
    return static_cast<std::int64_t>(value << unused) >> unused;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

struct Header {
  std::size_t universal = 0;
  std::size_t standard = 0;
  std::size_t leaps = 0;
  std::size_t transitions = 0;
  std::size_t types = 0;
  std::size_t characters = 0;
  char version = 0;
};

Header read_header(Bytes& bytes) {
  constexpr std::int64_t kCountMax = 10000;
  Header header;
  if (bytes.take(4) != "TZif") throw std::runtime_error("not a time zone file");
  header.version = bytes.take(1)[0];
  bytes.take(15);
  for (std::size_t* count : {&header.universal,
                             &header.standard,
                             &header.leaps,
                             &header.transitions,
                             &header.types,
                             &header.characters}) {
    std::int64_t value = bytes.number(4);
    if (value < 0 || value > kCountMax) throw std::runtime_error("a time zone file is damaged");
    *count = static_cast<std::size_t>(value);
  }
  return header;
}

}  // namespace

TimeZone TimeZone::parse(std::string_view text) {
  Bytes bytes(text);
  Header header = read_header(bytes);
  if (header.version < '2') throw std::runtime_error("a time zone file is of version 1");
  // First the same in 32 bits, for old readers.
  bytes.take(header.transitions * 5 + header.types * 6 + header.characters + header.leaps * 8 +
             header.standard + header.universal);
  header = read_header(bytes);
  TimeZone zone;
  for (std::size_t i = 0; i < header.transitions; ++i)
    zone.transitions_.push_back(bytes.number(8));
  std::string_view types_after = bytes.take(header.transitions);
  std::vector<std::int32_t> types;
  for (std::size_t i = 0; i < header.types; ++i) {
    types.push_back(static_cast<std::int32_t>(bytes.number(4)));
    bytes.take(2);
  }
  bool rising = std::is_sorted(zone.transitions_.begin(), zone.transitions_.end());
  if (types.empty() || !rising) throw std::runtime_error("a time zone file is damaged");
  zone.first_offset_ = types[0];
  for (char c : types_after) {
    auto type = static_cast<unsigned char>(c);
    if (type >= types.size()) throw std::runtime_error("a time zone file is damaged");
    zone.offsets_.push_back(types[type]);
  }
  bytes.take(header.characters + header.leaps * 12 + header.standard + header.universal);
  if (bytes.take(1) != "\n") throw std::runtime_error("a time zone file has no footer");
  std::string_view footer = bytes.rest().substr(0, bytes.rest().find('\n'));
  if (!footer.empty()) zone.rule_.emplace(footer);
  return zone;
}

TimeZone TimeZone::load(const std::string& name, const std::string& directory) {
  bool sound = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  });
  std::ifstream file;
  if (sound && name[0] != '/') file.open(directory + "/" + name, std::ios::binary);
  if (file.is_open()) {
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    // A directory opens, and gives no bytes.
    if (!bytes.empty()) return parse(bytes);
  }
  try {
    TimeZone zone;
    zone.rule_.emplace(name);
    return zone;
  } catch (const std::runtime_error&) {
    throw std::runtime_error("no time zone " + name.substr(0, 80) + " in " + directory);
  }
}

std::int32_t TimeZone::offset(std::int64_t unix_s) const {
  auto after = std::upper_bound(transitions_.begin(), transitions_.end(), unix_s);
  if (after == transitions_.end() && rule_) return rule_->offset(unix_s);
  if (after == transitions_.begin()) return first_offset_;
  return offsets_[static_cast<std::size_t>(after - transitions_.begin()) - 1];
}

}  // namespace hours
