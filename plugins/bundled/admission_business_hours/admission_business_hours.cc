// Refuses requests outside of opening hours, and says when to come back.
#include "manifest.h"
#include "opening_hours.h"
#include <sluice/plugin.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace {

using sluice::Answer;
using sluice::Call;
using sluice::Json;

constexpr std::array<std::string_view, 7> kWeekdays{
    "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

/// A configuration, as it was checked.
struct Settings {
  explicit Settings(const Json& config)
      : hours(hours::TimeZone::load(config["timezone"].as_string())),
        message(config["message"].as_string()) {
    bool any = false;
    for (std::size_t day = 0; day < kWeekdays.size(); ++day)
      for (const Json& interval : config["hours"][kWeekdays[day]].as_array()) {
        hours.add(static_cast<int>(day), interval.as_string());
        any = true;
      }
    if (!any) throw sluice::PluginError("hours: no day has any, so that it would never be open");
    for (const Json& date : config["holidays"].as_array())
      hours.add_holiday(date.as_string());
    for (const Json& name : config["classes"].as_array())
      classes.insert(name.as_string());
  }

  hours::OpeningHours hours;
  std::string message;
  std::set<std::string, std::less<>> classes;
};

struct BusinessHours : sluice::Plugin<BusinessHours> {
  enum Metric : std::uint32_t { kRefused, kOpen };

  static constexpr std::string_view manifest() { return {kManifest, sizeof kManifest}; }

  void start(const Json& config) {
    reload(config);
    tick_ = every(std::chrono::seconds(30), [this] { show(); });
  }

  void reload(const Json& config) {
    settings_ = std::make_unique<Settings>(config);
    closed_from_ = 0;
    opens_at_.reset();
    show();
  }

  Answer on_admission(Call& call) {
    if (!settings_->classes.contains(call.priority_class())) return sluice::skip();
    std::chrono::milliseconds now = host().unix_time();
    std::int64_t now_s = std::chrono::floor<std::chrono::seconds>(now).count();
    if (settings_->hours.is_open(now_s)) return sluice::accept();
    host().add(kRefused);
    find_opening(now_s);
    if (!opens_at_) return sluice::refuse("closed", settings_->message);
    return sluice::refuse("closed", settings_->message, std::chrono::seconds(*opens_at_) - now);
  }

 private:
  void show() {
    std::int64_t now = std::chrono::floor<std::chrono::seconds>(host().unix_time()).count();
    host().set(kOpen, settings_->hours.is_open(now) ? 1 : 0);
  }

  /// Looks for the next opening once per closing: until then the answer stays.
  void find_opening(std::int64_t now) {
    if (closed_from_ != 0 && now >= closed_from_ && (!opens_at_ || now < *opens_at_)) return;
    closed_from_ = now;
    opens_at_ = settings_->hours.next_opening(now);
  }

  std::unique_ptr<Settings> settings_;
  std::int64_t closed_from_ = 0;  ///< since when `opens_at_` is known to be right; 0: it is not
  std::optional<std::int64_t> opens_at_;
  sluice::Timer tick_;
};

}  // namespace

SLUICE_PLUGIN(BusinessHours)
