// A watcher over uv_poll_t.
#include "net/fd_watcher.h"

#include "net/loop_impl.h"

#include <utility>

namespace sluice {

/// Lives until both the watcher and libuv have let go of it.
struct FdWatcher::Node {
  uv_poll_t poll;  // first: its address is the handle's
  EventLoop::Impl* loop = nullptr;
  std::function<void(unsigned)> ready;
  std::uint64_t stop_hook = 0;
  unsigned wanted = 0;
  bool owned = true;    ///< the watcher lives
  bool closed = false;  ///< libuv let go
  bool closing = false;

  void close() {
    if (std::exchange(closing, true)) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), [](uv_handle_t* handle) {
      auto* node = static_cast<Node*>(handle->data);
      node->closed = true;
      if (!node->owned) delete node;
    });
  }
};

Result<std::unique_ptr<FdWatcher>> FdWatcher::create(EventLoop& loop,
                                                     int fd,
                                                     std::function<void(unsigned)> ready) {
  auto node = std::make_unique<Node>();
  if (const int rc = uv_poll_init(loop.impl().uv(), &node->poll, fd); rc != 0) {
    return Error{ErrorCode::unavailable,
                 "cannot watch descriptor " + std::to_string(fd) + ": " + uv_strerror(rc)};
  }
  node->poll.data = node.get();
  node->loop = &loop.impl();
  node->ready = std::move(ready);
  node->stop_hook = node->loop->at_stop([raw = node.get()] { raw->close(); });
  return std::unique_ptr<FdWatcher>(new FdWatcher(node.release()));
}

FdWatcher::~FdWatcher() {
  node_->owned = false;
  if (node_->closed) {
    delete node_;
  } else if (!node_->closing) {
    node_->loop->forget_stop_hook(node_->stop_hook);
    node_->close();
  }
}

void FdWatcher::want(unsigned events) {
  if (node_->closing || events == node_->wanted) return;
  node_->wanted = events;
  if (events == 0) {
    uv_poll_stop(&node_->poll);
    return;
  }
  const int uv_events =
      ((events & kReadable) != 0 ? UV_READABLE : 0) | ((events & kWritable) != 0 ? UV_WRITABLE : 0);
  uv_poll_start(&node_->poll, uv_events, [](uv_poll_t* poll, int status, int seen) {
    auto* node = static_cast<Node*>(poll->data);
    unsigned happened = kReadable | kWritable;
    if (status != 0) {
      node->wanted = 0;  // libuv has stopped watching
    } else {
      happened = ((seen & UV_READABLE) != 0 ? kReadable : 0U) |
                 ((seen & UV_WRITABLE) != 0 ? kWritable : 0U);
    }
    // A copy, for the body may destroy the watcher.
    const auto ready = node->ready;
    ready(happened);
  });
}

}  // namespace sluice
