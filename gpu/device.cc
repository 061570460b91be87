// Which devices this build knows.
#include "gpu/device.h"

#include "gpu/host_device.h"

#include <string_view>

namespace sluice {

Result<std::unique_ptr<Device>> make_device(const std::string& name) {
  if (name == "cpu") return std::unique_ptr<Device>(std::make_unique<HostDevice>());
  constexpr std::string_view kCuda = "cuda:";
  bool is_cuda = name.starts_with(kCuda) && name.size() > kCuda.size() &&
                 name.find_first_not_of("0123456789", kCuda.size()) == std::string::npos;
  if (is_cuda)
    return Error{ErrorCode::unavailable, "device " + name + ": this build has no CUDA backend"};
  return Error{ErrorCode::not_found,
               "no device is called \"" + name + "\"; known are \"cpu\" and \"cuda:N\""};
}

}  // namespace sluice
