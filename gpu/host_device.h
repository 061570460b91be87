// The CPU as a device: every test and every machine without a GPU runs on it.
#pragma once

#include "gpu/device.h"

#include <functional>

namespace sluice {

/// Memory of the host, work done at once. Buffers are aligned to 256 bytes, those of 2 MiB and more
/// to 2 MiB with huge pages asked for; all bytes begin as zero.
class HostDevice final : public Device {
 public:
  /// Bytes the machine still gives.
  using MemoryAccount = std::function<std::size_t()>;

  HostDevice();
  /// With an account of its own, for tests.
  explicit HostDevice(MemoryAccount account);

  [[nodiscard]] std::string name() const override { return "cpu"; }
  [[nodiscard]] bool is_host() const override { return true; }
  /// Pages are only taken when they are first touched, so what this device has handed out is
  /// subtracted from what there was at its beginning, touched or not.
  [[nodiscard]] std::size_t available_bytes() const override;

  Result<std::unique_ptr<Buffer>> allocate(std::size_t size_bytes) override;
  Result<std::unique_ptr<Buffer>> allocate_pinned(std::size_t size_bytes) override;
  Result<std::unique_ptr<Stream>> make_stream() override;
  Result<std::unique_ptr<Event>> make_event() override;
  Result<void> copy_to_device(Stream& stream,
                              void* device,
                              const void* host,
                              std::size_t size_bytes) override;
  Result<void> copy_to_host(Stream& stream,
                            void* host,
                            const void* device,
                            std::size_t size_bytes) override;

 private:
  MemoryAccount account_;
  std::size_t available_at_start_;
  std::shared_ptr<std::size_t> allocated_;  ///< bytes of living buffers, which may outlive us
};

}  // namespace sluice
