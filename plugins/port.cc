#include "plugins/port.h"

namespace sluice {

std::string_view to_string(HookStatus status) {
  switch (status) {
    case HookStatus::ok:
      return "ok";
    case HookStatus::skip:
      return "skip";
    case HookStatus::reject:
      return "reject";
    case HookStatus::error:
      return "error";
    case HookStatus::timed_out:
      return "timed_out";
    case HookStatus::cancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace sluice
