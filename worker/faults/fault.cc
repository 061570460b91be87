#include "worker/faults/fault.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace sluice {
namespace {

using What = Fault::What;
using When = Fault::When;

enum class Argument : std::uint8_t { none, code, signal, slowness, late, all, count };

constexpr unsigned bit(When when) {
  return 1U << static_cast<unsigned>(when);
}
constexpr unsigned kLoad = bit(When::load);
constexpr unsigned kStep = bit(When::step);
constexpr unsigned kTokens = bit(When::tokens);
constexpr unsigned kFrame = bit(When::frame);
constexpr unsigned kSteps = kStep | bit(When::rows) | kTokens;
constexpr unsigned kAlways = bit(When::always);

struct Word {
  std::string_view name;
  What what;
  Argument argument;
  unsigned when;
};
constexpr Word kWords[] = {
    {"exit", What::exit, Argument::code, kLoad | kSteps},
    {"raise", What::raise, Argument::signal, kLoad | kSteps},
    {"hang", What::hang, Argument::none, kLoad | kSteps},
    {"stop", What::stop, Argument::none, kLoad | kSteps},
    {"slow", What::slow, Argument::slowness, kLoad | kSteps},
    {"device_lost", What::device_lost, Argument::late, kLoad | kSteps},
    {"oom", What::oom, Argument::none, kLoad | kSteps},
    {"leak", What::leak, Argument::count, kSteps},
    {"leak_threads", What::leak_threads, Argument::count, kSteps},
    {"nan", What::nan, Argument::all, kLoad | kSteps},
    {"wrong", What::wrong, Argument::none, kLoad | kSteps},
    {"invalid_token", What::invalid_token, Argument::none, kStep | kTokens},
    {"old_epoch", What::old_epoch, Argument::none, kStep | kFrame},
    {"repeat", What::repeat, Argument::none, kStep | kFrame},
    {"drop", What::drop, Argument::none, kStep | kFrame},
    {"stall_link", What::stall_link, Argument::none, kStep},
    {"slice_link", What::slice_link, Argument::none, kStep},
    {"flip", What::flip, Argument::none, kFrame},
    {"truncate", What::truncate, Argument::none, kFrame},
    {"double", What::double_frame, Argument::none, kFrame},
    {"reorder", What::reorder, Argument::none, kFrame},
    {"huge", What::huge, Argument::none, kFrame},
    {"deep", What::deep, Argument::none, kFrame},
    {"no_exit", What::no_exit, Argument::none, kAlways},
};

constexpr std::pair<std::string_view, When> kWhens[] = {{"load", When::load},
                                                        {"step", When::step},
                                                        {"rows", When::rows},
                                                        {"tokens", When::tokens},
                                                        {"frame", When::frame}};

constexpr std::int32_t kSignalMax = 64;
constexpr std::int32_t kLeakMax = 10'000;

/// Reads a plan from left to right; the first thing that is not expected is remembered with its
/// place, and everything after it reads as nothing.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<Fault>> run() {
    std::vector<Fault> faults;
    skip_blanks();
    while (!error_ && at_ < text_.size()) {
      if (take(";")) continue;  // an empty fault
      faults.push_back(fault());
      if (!error_ && at_ < text_.size() && !take(";")) expected("; or the end");
    }
    if (error_) return *error_;
    return faults;
  }

 private:
  Fault fault() {
    Fault fault;
    std::size_t start = at_;
    std::string_view name = word();
    const auto* known = std::find_if(
        std::begin(kWords), std::end(kWords), [&](const Word& w) { return w.name == name; });
    if (known == std::end(kWords)) {
      at_ = start;
      std::string all;
      for (const Word& w : kWords)
        all += (all.empty() ? "" : ", ") + std::string(w.name);
      expected("one of " + all);
      return fault;
    }
    fault.what = known->what;
    argument(*known, fault);
    when(*known, fault);
    if (take_word("if")) {
      do
        condition(fault);
      while (!error_ && take_word("and"));
    }
    return fault;
  }

  void argument(const Word& known, Fault& fault) {
    bool optional = known.argument == Argument::late || known.argument == Argument::all;
    if (known.argument == Argument::none || (optional && !peek("("))) return;
    if (!take("(")) return expected("( after " + std::string(known.name));
    switch (known.argument) {
      case Argument::none:
        break;
      case Argument::code:
        fault.number = static_cast<std::int32_t>(number("an exit code up to 255", 0, 255));
        break;
      case Argument::signal:
        fault.number = static_cast<std::int32_t>(number("a signal from 1 to 64", 1, kSignalMax));
        break;
      case Argument::late:
        fault.number = static_cast<std::int32_t>(number("a number of steps", 0, 1'000'000));
        break;
      case Argument::all:
        if (!take_word("all")) expected("all");
        fault.all = true;
        break;
      case Argument::count:
        fault.number = static_cast<std::int32_t>(number("a number from 1 to 10000", 1, kLeakMax));
        break;
      case Argument::slowness:
        slowness(fault);
        break;
    }
    if (!error_ && !take(")")) expected(")");
  }

  void slowness(Fault& fault) {
    std::size_t start = at_;
    double value = real();
    if (take_word("ms")) {
      fault.longer =
          std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(value));
    } else if (take_word("s")) {
      fault.longer = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
    } else {
      fault.factor = value;
    }
    bool sane = fault.factor != 0.0 ? value >= 1.0 && value <= 1e6 : value > 0.0 && value <= 1e6;
    if (error_ || sane) return;
    at_ = start;
    expected("a factor from 1 to 1000000, or a duration like 50ms or 5s");
  }

  void when(const Word& known, Fault& fault) {
    if ((known.when & kAlways) != 0) return;
    if (!take("@")) return expected("@ and " + names(known.when));
    std::size_t start = at_;
    std::string_view name = word();
    const auto* found = std::find_if(
        std::begin(kWhens), std::end(kWhens), [&](const auto& w) { return w.first == name; });
    if (found == std::end(kWhens) || (known.when & bit(found->second)) == 0) {
      at_ = start;
      return expected(names(known.when));
    }
    fault.when = found->second;
    if (fault.what == What::slow && fault.when == When::load && fault.factor != 0.0) {
      at_ = start;
      return expected("step, rows or tokens: only a duration can make loading slow");
    }
    if (fault.when == When::load) return;
    if (fault.when == When::tokens) return tokens(fault);
    range(fault.range);
  }

  void tokens(Fault& fault) {
    if (!take("=")) return expected("=");
    do
      fault.tokens.push_back(
          static_cast<TokenId>(number("a token", 0, std::numeric_limits<TokenId>::max())));
    while (!error_ && take(","));
  }

  /// "=5", "=5..7", ">5"
  void range(Fault::Range& range) {
    if (take(">")) {
      range.first = number("a number", 0, kNumberMax) + 1;
      return;
    }
    if (!take("=")) return expected("= or >");
    range.first = range.last = number("a number", 0, kNumberMax);
    if (error_ || !take("..")) return;
    std::size_t start = at_;
    range.last = number("a number", 0, kNumberMax);
    if (error_ || range.last >= range.first) return;
    at_ = start;
    expected("a number of at least " + std::to_string(range.first));
  }

  void condition(Fault& fault) {
    if (take_word("incarnation")) return range(fault.incarnations);
    if (!take_word("p")) return expected("incarnation or p");
    if (!take("=")) return expected("=");
    std::size_t start = at_;
    fault.probability = real();
    if (error_ || fault.probability <= 1.0) return;
    at_ = start;
    expected("a probability from 0 to 1");
  }

  static std::string names(unsigned whens) {
    std::string all;
    for (const auto& [name, when] : kWhens)
      if ((whens & bit(when)) != 0) all += (all.empty() ? "" : " or ") + std::string(name);
    return all;
  }

  // --- letters and numbers; each leaves the blanks behind it behind ---

  static constexpr std::uint64_t kNumberMax = std::uint64_t{1} << 62;

  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

  std::string_view word() {
    std::size_t start = at_;
    while (at_ < text_.size() && is_letter(text_[at_]))
      ++at_;
    std::string_view found = text_.substr(start, at_ - start);
    skip_blanks();
    return found;
  }

  bool take_word(std::string_view wanted) {
    std::size_t start = at_;
    if (error_ || word() != wanted) {
      at_ = start;
      return false;
    }
    return true;
  }

  [[nodiscard]] bool peek(std::string_view sign) const {
    return !error_ && text_.substr(at_).starts_with(sign);
  }

  bool take(std::string_view sign) {
    if (!peek(sign)) return false;
    at_ += sign.size();
    skip_blanks();
    return true;
  }

  std::uint64_t number(std::string_view what, std::uint64_t least, std::uint64_t most) {
    std::uint64_t value = 0;
    auto [end, failed] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error_ || failed != std::errc() || value < least || value > most) {
      expected(what);
      return least;
    }
    at_ = static_cast<std::size_t>(end - text_.data());
    skip_blanks();
    return value;
  }

  double real() {
    double value = 0.0;
    auto [end, failed] = std::from_chars(
        text_.data() + at_, text_.data() + text_.size(), value, std::chars_format::fixed);
    if (error_ || failed != std::errc() || !(value >= 0.0)) {
      expected("a number");
      return 0.0;
    }
    at_ = static_cast<std::size_t>(end - text_.data());
    skip_blanks();
    return value;
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }

  void expected(std::string_view what) {
    if (error_) return;
    std::string found = at_ >= text_.size() ? "the end" : "'" + std::string(1, text_[at_]) + "'";
    error_ = Error{ErrorCode::invalid_argument,
                   "position " + std::to_string(at_ + 1) + ": expected " + std::string(what) +
                       ", found " + found};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<FaultPlan> FaultPlan::parse(std::string_view text) {
  auto faults = Parser(text).run();
  if (!faults) return faults.error();
  FaultPlan plan;
  plan.faults_ = *std::move(faults);
  return plan;
}

}  // namespace sluice
