// Device: memory and order of execution, of a GPU or of the CPU.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice {

/// Memory of a device, freed with its owner.
class Buffer {
 public:
  virtual ~Buffer() = default;
  /// The device address; aligned to at least 256 bytes.
  [[nodiscard]] virtual void* data() const = 0;
  [[nodiscard]] virtual std::size_t size_bytes() const = 0;
};

/// Work in order. Calls that take a stream return before the work is done, except on the CPU, where
/// they do it.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Waits until all work given so far is done. Errors: device_lost.
  virtual Result<void> synchronize() = 0;
};

/// A point in a stream that can be waited for.
class Event {
 public:
  virtual ~Event() = default;
  /// Marks the end of all work given to `stream` so far. Errors: device_lost.
  virtual Result<void> record(Stream& stream) = 0;
  /// Waits for the mark. Errors: device_lost.
  virtual Result<void> wait() = 0;
};

/// One device of this process. Owner: the worker; used from its engine thread only.
class Device {
 public:
  virtual ~Device() = default;
  /// "cpu", "cuda:0".
  [[nodiscard]] virtual std::string name() const = 0;
  /// True if addresses of buffers can be followed by the CPU.
  [[nodiscard]] virtual bool is_host() const = 0;
  /// Bytes that can still be allocated, by the device's own account.
  [[nodiscard]] virtual std::size_t available_bytes() const = 0;

  /// Errors: resource_exhausted, with the wanted and the available bytes in the message.
  virtual Result<std::unique_ptr<Buffer>> allocate(std::size_t size_bytes) = 0;
  /// Memory of the host that the device can copy from and to without staging.
  virtual Result<std::unique_ptr<Buffer>> allocate_pinned(std::size_t size_bytes) = 0;
  virtual Result<std::unique_ptr<Stream>> make_stream() = 0;
  virtual Result<std::unique_ptr<Event>> make_event() = 0;

  /// Copies between host and device memory, in the order of the stream. The host memory must live
  /// until then.
  virtual Result<void> copy_to_device(Stream& stream,
                                      void* device,
                                      const void* host,
                                      std::size_t size_bytes) = 0;
  virtual Result<void> copy_to_host(Stream& stream,
                                    void* host,
                                    const void* device,
                                    std::size_t size_bytes) = 0;
};

/// A device by name: "cpu", later "cuda:N". Errors: not_found, unavailable (not built in).
Result<std::unique_ptr<Device>> make_device(const std::string& name);

}  // namespace sluice
