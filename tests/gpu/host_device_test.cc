// The CPU as a device, and devices by name.
#include "gpu/host_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace sluice {
namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

TEST(MakeDevice, KnowsTheCpu) {
  auto device = make_device("cpu");

  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->name(), "cpu");
  EXPECT_TRUE((*device)->is_host());
  EXPECT_GT((*device)->available_bytes(), 0U);
}

TEST(MakeDevice, AnswersUnavailableForCudaAndNotFoundForTheUnknown) {
  EXPECT_EQ(make_device("cuda:0").error().code, ErrorCode::unavailable);
  EXPECT_EQ(make_device("cuda:17").error().code, ErrorCode::unavailable);
  for (const char* name : {"", "cuda", "cuda:", "cuda:x", "CPU", "tpu"})
    EXPECT_EQ(make_device(name).error().code, ErrorCode::not_found) << name;
}

TEST(HostDevice, GivesAlignedZeroedBuffersOfTheWantedSize) {
  HostDevice device;

  for (std::size_t size : {std::size_t{0},
                           std::size_t{1},
                           std::size_t{255},
                           std::size_t{256},
                           std::size_t{100'000},
                           2 * kMegabyte,
                           5 * kMegabyte + 3}) {
    auto buffer = *device.allocate(size);

    EXPECT_EQ(buffer->size_bytes(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 256, 0U);
    auto* bytes = static_cast<unsigned char*>(buffer->data());
    EXPECT_TRUE(std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; }));
    std::fill_n(bytes, size, static_cast<unsigned char>(7));
  }
}

TEST(HostDevice, RefusesWhatTheAccountDoesNotHaveAndSaysTheNumbers) {
  HostDevice device([] { return std::size_t{10'000}; });

  auto refused = device.allocate(10'001);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(refused.error().message, "cpu: 10001 bytes wanted, 10000 available");
  EXPECT_EQ(device.allocate_pinned(10'001).error().code, ErrorCode::resource_exhausted);
}

TEST(HostDevice, CountsBuffersThatWereNotTouchedYet) {
  // The account never sees them: their pages are not taken before they are written.
  HostDevice device([] { return 8 * kMegabyte; });

  auto first = device.allocate(6 * kMegabyte);

  ASSERT_TRUE(first);
  EXPECT_EQ(device.available_bytes(), 2 * kMegabyte);
  EXPECT_FALSE(device.allocate(3 * kMegabyte));
  first->reset();
  EXPECT_EQ(device.available_bytes(), 8 * kMegabyte);
  EXPECT_TRUE(device.allocate(3 * kMegabyte));
}

TEST(HostDevice, FollowsAnAccountThatShrinks) {
  std::size_t left = 10 * kMegabyte;
  HostDevice device([&left] { return left; });

  left = 1000;

  EXPECT_EQ(device.available_bytes(), 1000U);
  EXPECT_FALSE(device.allocate(2000));
}

TEST(HostDevice, BuffersMayOutliveTheirDevice) {
  std::unique_ptr<Buffer> buffer;
  {
    HostDevice device;
    buffer = *device.allocate(64);
  }

  static_cast<char*>(buffer->data())[63] = 1;
  EXPECT_EQ(buffer->size_bytes(), 64U);
}

TEST(HostDevice, CopiesAtOnceAndHasNothingToWaitFor) {
  HostDevice device;
  auto stream = *device.make_stream();
  auto event = *device.make_event();
  auto buffer = *device.allocate(16);
  const std::array<int, 4> sent{1, 2, 3, 4};
  std::array<int, 4> received{};

  ASSERT_TRUE(device.copy_to_device(*stream, buffer->data(), sent.data(), sizeof sent));
  ASSERT_TRUE(event->record(*stream));
  ASSERT_TRUE(event->wait());
  ASSERT_TRUE(device.copy_to_host(*stream, received.data(), buffer->data(), sizeof received));

  EXPECT_TRUE(stream->synchronize());
  EXPECT_EQ(received, sent);
}

}  // namespace
}  // namespace sluice
