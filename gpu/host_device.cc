// Buffers from the system's allocator, streams and events that have nothing to wait for.
#include "gpu/host_device.h"

#include "gpu/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Memory straight from the kernel for large pieces: zero without being written, aligned for huge
/// pages. Null if it refuses.
void* map_zero_pages(std::size_t size_bytes) {
  // One huge page more than needed, then the ends are given back.
  std::size_t mapped = size_bytes + kHugePage;
  void* address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  auto first = reinterpret_cast<std::uintptr_t>(address);
  std::uintptr_t aligned = (first + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned != first) munmap(address, aligned - first);
  std::size_t behind = first + mapped - (aligned + size_bytes);
  if (behind != 0) munmap(reinterpret_cast<void*>(aligned + size_bytes), behind);
  auto* data = reinterpret_cast<void*>(aligned);
  madvise(data, size_bytes, MADV_HUGEPAGE);  // advice only: small pages serve as well
  return data;
}

std::size_t round_up(std::size_t number, std::size_t unit) {
  return (number + unit - 1) / unit * unit;
}

/// One piece of memory: from the allocator if small, pages of its own if large.
class HostBuffer final : public Buffer {
 public:
  HostBuffer(std::size_t size_bytes, std::shared_ptr<std::size_t> allocated)
      : size_(size_bytes), allocated_(std::move(allocated)) {
    if (is_large()) {
      data_ = map_zero_pages(round_up(size_, kHugePage));
    } else {
      std::size_t rounded = round_up(size_ + 1, kAlignment);
      data_ = std::aligned_alloc(kAlignment, rounded);
      if (data_ != nullptr) std::memset(data_, 0, rounded);
    }
    if (data_ != nullptr) *allocated_ += size_;
  }
  ~HostBuffer() override {
    if (data_ == nullptr) return;
    *allocated_ -= size_;
    if (is_large())
      munmap(data_, round_up(size_, kHugePage));
    else
      std::free(data_);
  }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  [[nodiscard]] void* data() const override { return data_; }
  [[nodiscard]] std::size_t size_bytes() const override { return size_; }

 private:
  [[nodiscard]] bool is_large() const { return size_ >= kHugePage; }

  std::size_t size_;
  std::shared_ptr<std::size_t> allocated_;
  void* data_ = nullptr;
};

class HostStream final : public Stream {
 public:
  Result<void> synchronize() override { return {}; }
};

class HostEvent final : public Event {
 public:
  Result<void> record(Stream&) override { return {}; }
  Result<void> wait() override { return {}; }
};

Result<void> copy(void* to, const void* from, std::size_t size_bytes) {
  if (size_bytes != 0) std::memmove(to, from, size_bytes);
  return {};
}

}  // namespace

HostDevice::HostDevice() : HostDevice([] { return available_host_bytes(); }) {}

HostDevice::HostDevice(MemoryAccount account)
    : account_(std::move(account)),
      available_at_start_(account_()),
      allocated_(std::make_shared<std::size_t>(0)) {}

std::size_t HostDevice::available_bytes() const {
  std::size_t left = available_at_start_ - std::min(*allocated_, available_at_start_);
  return std::min(left, account_());
}

Result<std::unique_ptr<Buffer>> HostDevice::allocate(std::size_t size_bytes) {
  std::size_t available = available_bytes();
  if (size_bytes <= available) {
    auto buffer = std::make_unique<HostBuffer>(size_bytes, allocated_);
    if (buffer->data() != nullptr) return std::unique_ptr<Buffer>(std::move(buffer));
  }
  return Error{ErrorCode::resource_exhausted,
               "cpu: " + std::to_string(size_bytes) + " bytes wanted, " +
                   std::to_string(available) + " available"};
}

Result<std::unique_ptr<Buffer>> HostDevice::allocate_pinned(std::size_t size_bytes) {
  return allocate(size_bytes);
}

Result<std::unique_ptr<Stream>> HostDevice::make_stream() {
  return std::unique_ptr<Stream>(std::make_unique<HostStream>());
}

Result<std::unique_ptr<Event>> HostDevice::make_event() {
  return std::unique_ptr<Event>(std::make_unique<HostEvent>());
}

Result<void> HostDevice::copy_to_device(Stream&,
                                        void* device,
                                        const void* host,
                                        std::size_t size_bytes) {
  return copy(device, host, size_bytes);
}

Result<void> HostDevice::copy_to_host(Stream&,
                                      void* host,
                                      const void* device,
                                      std::size_t size_bytes) {
  return copy(host, device, size_bytes);
}

}  // namespace sluice
