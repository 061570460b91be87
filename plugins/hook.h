// What a plugin can be asked, by name and by bit.
#pragma once

#include "plugins/sdk/sluice/plugin.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

/// The questions. The first seven are the hooks of the interface, in the order of their bits; the
/// rest every plugin answers, if only by default.
enum class Hook : std::uint8_t {
  admission,
  preprocess,
  route,
  output,
  postprocess,
  execute,
  observe,
  health,
  reload,
};

inline constexpr std::size_t kInterfaceHooks = 7;
inline constexpr std::array<std::string_view, 9> kHookNames{"admission",
                                                            "preprocess",
                                                            "route",
                                                            "output",
                                                            "postprocess",
                                                            "execute",
                                                            "observe",
                                                            "health",
                                                            "reload"};

constexpr std::string_view to_string(Hook hook) {
  return kHookNames[static_cast<std::size_t>(hook)];
}

constexpr std::optional<Hook> parse_hook(std::string_view name) {
  for (std::size_t i = 0; i < kHookNames.size(); ++i)
    if (kHookNames[i] == name) return static_cast<Hook>(i);
  return std::nullopt;
}

/// The bit of a hook in a set of them.
constexpr std::uint32_t hook_bit(Hook hook) {
  return std::uint32_t{1} << static_cast<unsigned>(hook);
}
constexpr std::uint32_t kAllInterfaceHooks = (1U << kInterfaceHooks) - 1;

static_assert(hook_bit(Hook::admission) == SLUICE_HOOK_ADMISSION);
static_assert(hook_bit(Hook::preprocess) == SLUICE_HOOK_PREPROCESS);
static_assert(hook_bit(Hook::route) == SLUICE_HOOK_ROUTE);
static_assert(hook_bit(Hook::output) == SLUICE_HOOK_OUTPUT);
static_assert(hook_bit(Hook::postprocess) == SLUICE_HOOK_POSTPROCESS);
static_assert(hook_bit(Hook::execute) == SLUICE_HOOK_EXECUTE);
static_assert(hook_bit(Hook::observe) == SLUICE_HOOK_OBSERVE);

}  // namespace sluice
