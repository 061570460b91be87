// Watching descriptors that are not sockets of ours.
#include "net/fd_watcher.h"

#include "tests/net/http_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

namespace sluice::test {
namespace {

/// A pipe and a loop; the loop ends first.
class FdWatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::pipe(pipe_.data()), 0);
    auto started = EventLoop::start("watch");
    ASSERT_TRUE(started);
    loop_ = std::move(*started);
  }
  void TearDown() override {
    loop_.reset();
    for (const int fd : pipe_) {
      if (fd >= 0) ::close(fd);
    }
  }
  void write(const std::string& bytes) {
    ASSERT_EQ(::write(pipe_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  std::array<int, 2> pipe_{-1, -1};
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<FdWatcher> watcher_;
  Box<std::string> heard_;
};

TEST_F(FdWatcherTest, TellsWhatIsReadableUntilNobodyWantsToKnow) {
  loop_->post([&] {
    auto created = FdWatcher::create(*loop_, pipe_[0], [&](unsigned events) {
      std::array<char, 16> bytes;
      const ssize_t size = ::read(pipe_[0], bytes.data(), bytes.size());
      watcher_->want(0);
      heard_.put((events & FdWatcher::kReadable) != 0
                     ? std::string(bytes.data(), static_cast<std::size_t>(size))
                     : "not readable");
    });
    watcher_ = std::move(*created);
    watcher_->want(FdWatcher::kReadable);
  });
  write("one");
  EXPECT_EQ(heard_.take(), "one");

  write("two");  // unheard until wanted
  loop_->post([&] { heard_.put("between"); });
  EXPECT_EQ(heard_.take(), "between");
  loop_->post([&] { watcher_->want(FdWatcher::kReadable); });
  EXPECT_EQ(heard_.take(), "two");
  loop_->post([&] { watcher_.reset(); });
}

TEST_F(FdWatcherTest, MayBeDestroyedFromItsOwnCall) {
  loop_->post([&] {
    auto created = FdWatcher::create(*loop_, pipe_[0], [&](unsigned) {
      watcher_.reset();
      heard_.put("done");
    });
    watcher_ = std::move(*created);
    watcher_->want(FdWatcher::kReadable);
  });
  write("x");

  EXPECT_EQ(heard_.take(), "done");
}

TEST_F(FdWatcherTest, MayOutliveItsLoop) {
  loop_->post([&] {
    auto created = FdWatcher::create(*loop_, pipe_[0], [](unsigned) {});
    watcher_ = std::move(*created);
    watcher_->want(FdWatcher::kReadable);
    heard_.put("watching");
  });
  EXPECT_EQ(heard_.take(), "watching");

  loop_.reset();
  watcher_.reset();

  EXPECT_EQ(heard_.size(), 0U);
}

}  // namespace
}  // namespace sluice::test
