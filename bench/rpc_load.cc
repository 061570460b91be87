// Load on Sluice RPC: one-token completions, so many in flight on each of so many connections.
//   rpc_load PORT [--connections 64] [--in-flight 64] [--seconds 5 | --requests N] [--echo]
// One thread, a closed loop: whatever is answered is asked again, for so many seconds after one of
// warming up, or until so many are answered. `--echo`: the other side sends every frame back as it
// is, which shows what generator, libuv and kernel could do. Prints one line of JSON; a wrong or
// missing answer ends it with 1.
#include "bench/overload/latency_histogram.h"
#include "net/frame.h"
#include "net/msgpack.h"
#include "net/rpc_protocol.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::uint16_t port = 0;
  std::uint32_t connections = 64;
  std::uint32_t in_flight = 64;  ///< of each
  double seconds = 5;
  std::uint64_t requests = 0;  ///< 0: as many as the seconds allow
  bool echo = false;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "rpc_load: %s\n", why.c_str());
  std::exit(1);
}

/// A REQUEST in which only the id changes: it always takes five bytes.
class RequestFrame {
 public:
  RequestFrame() {
    const std::size_t start = begin_frame(bytes_);
    MsgpackWriter writer(bytes_);
    writer.array(4).u64(0);
    id_at_ = bytes_.size() + 1;
    writer.u64(UINT32_MAX).string("completions.create").map(2);
    writer.string("prompt").string("hi").string("max_tokens").u64(1);
    end_frame(bytes_, start);
  }
  void append(std::string& out, std::uint32_t id) const {
    const std::size_t start = out.size();
    out += bytes_;
    for (std::size_t i = 0; i < 4; ++i)
      out[start + id_at_ + i] = static_cast<char>(id >> (24 - 8 * i));
  }

 private:
  std::string bytes_;
  std::size_t id_at_ = 0;
};

/// What comes back, as far as it matters: which request, and whether it went well.
struct Answer {
  std::uint32_t id = 0;
  bool good = false;
};

/// None: a message that is no answer.
std::optional<Answer> read_answer(MsgpackReader& reader, std::string_view payload, bool echo) {
  auto parsed = reader.parse(payload);
  if (!parsed) die(parsed.error().message);
  MsgpackCursor cursor = *parsed;
  cursor.array("message", 2);
  const std::uint64_t type = cursor.u64("type");
  if (type == static_cast<std::uint64_t>(RpcType::fatal)) die(std::string(cursor.string("code")));
  const RpcType expected = echo ? RpcType::request : RpcType::response;
  if (type != static_cast<std::uint64_t>(expected)) return std::nullopt;
  Answer answer;
  answer.id = cursor.u32("id");
  answer.good = echo || cursor.nil();
  return answer;
}

class Connection {
 public:
  Connection(const Settings& settings, const RequestFrame& frame)
      : settings_(settings), frame_(frame), asked_(settings.in_flight + 1) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(settings.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      die("cannot connect to port " + std::to_string(settings.port));
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!settings.echo) {
      out_ = kRpcPreface;
      append_rpc_hello(out_, {.client = "rpc_load/1"});
      preface_left_ = kRpcPreface.size();
    }
    const auto now = Clock::now();
    for (std::uint32_t id = 1; id <= settings.in_flight; ++id)
      ask(id, now);
    send();
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int socket() const { return socket_; }

  /// Takes what has come and asks again. `answered(latency, good)` for each answer.
  template <class Answered>
  void serve(MsgpackReader& reader, Clock::time_point now, Answered&& answered) {
    const ssize_t size = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (size <= 0) die("the other side has closed a connection");
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
    const std::size_t skipped = std::min(preface_left_, bytes.size());
    preface_left_ -= skipped;
    splitter_.feed(bytes.substr(skipped));
    for (;;) {
      auto payload = splitter_.next();
      if (!payload) die(payload.error().message);
      if (!*payload) break;
      const auto answer = read_answer(reader, **payload, settings_.echo);
      if (!answer) continue;
      if (answer->id == 0 || answer->id >= asked_.size()) die("an answer to nothing");
      answered(now - asked_[answer->id], answer->good);
      ask(answer->id, now);
    }
    send();
  }

 private:
  void ask(std::uint32_t id, Clock::time_point now) {
    frame_.append(out_, id);
    asked_[id] = now;
  }
  void send() {
    std::string_view rest = out_;
    while (!rest.empty()) {
      const ssize_t size = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (size <= 0) die("the other side has closed a connection");
      rest.remove_prefix(static_cast<std::size_t>(size));
    }
    out_.clear();
  }

  const Settings& settings_;
  const RequestFrame& frame_;
  int socket_ = -1;
  std::size_t preface_left_ = 0;
  std::vector<Clock::time_point> asked_;  ///< by id
  FrameSplitter splitter_{std::size_t{1} << 20};
  std::string out_;
  static inline std::array<char, std::size_t{256} << 10> buffer_;
};

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// What was answered while it was counted.
struct Figures {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  Clock::duration longest{};
  overload::LatencyHistogram latencies;

  void count(Clock::duration latency, bool good) {
    ++requests;
    errors += good ? 0 : 1;
    longest = std::max(longest, latency);
    latencies.record(latency);
  }
};

void print(const Figures& figures, double seconds, double cpu_seconds) {
  const auto ms = [](Duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  const auto requests = static_cast<double>(figures.requests);
  std::printf(
      "{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.3f, \"per_second\": %.1f, "
      "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"generator_us\": %.3f}\n",
      static_cast<unsigned long long>(figures.requests),
      static_cast<unsigned long long>(figures.errors),
      seconds,
      requests / seconds,
      ms(figures.latencies.quantile(0.5)),
      ms(figures.latencies.quantile(0.99)),
      ms(figures.longest),
      cpu_seconds * 1e6 / requests);
}

void run(const Settings& settings) {
  using Seconds = std::chrono::duration<double>;
  const RequestFrame frame;
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Connection>> connections;
  for (std::uint32_t i = 0; i < settings.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(settings, frame));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connections.back().get();
    ::epoll_ctl(poll, EPOLL_CTL_ADD, connections.back()->socket(), &event);
  }
  const bool is_counted = settings.requests > 0;
  constexpr auto kWarmUp = std::chrono::seconds(1);
  const auto warm = is_counted ? Clock::now() : Clock::now() + kWarmUp;
  const auto end =
      is_counted ? Clock::time_point::max()
                 : warm + std::chrono::duration_cast<Clock::duration>(Seconds(settings.seconds));
  MsgpackReader reader;
  Figures figures;
  double cpu_before = 0;
  bool is_warm = false;
  Clock::time_point now;
  std::array<epoll_event, 64> events;
  do {
    const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
    now = Clock::now();
    if (now >= end) break;
    if (!is_warm && now >= warm) {
      is_warm = true;
      cpu_before = cpu_seconds();
    }
    for (int i = 0; i < ready; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      connection->serve(reader, now, [&](Clock::duration latency, bool good) {
        const bool is_enough = is_counted && figures.requests == settings.requests;
        if (is_warm && !is_enough) figures.count(latency, good);
      });
    }
  } while (!is_counted || figures.requests < settings.requests);
  const double cpu = cpu_seconds() - cpu_before;
  ::close(poll);
  if (figures.requests == 0) die("nothing was answered");
  print(figures, is_counted ? Seconds(now - warm).count() : settings.seconds, cpu);
  if (figures.errors > 0) die(std::to_string(figures.errors) + " requests failed");
}

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::atof(argv[++i]) : 0; };
    if (word == "--connections") {
      settings.connections = static_cast<std::uint32_t>(number());
    } else if (word == "--in-flight") {
      settings.in_flight = static_cast<std::uint32_t>(number());
    } else if (word == "--seconds") {
      settings.seconds = number();
    } else if (word == "--requests") {
      settings.requests = static_cast<std::uint64_t>(number());
    } else if (word == "--echo") {
      settings.echo = true;
    } else {
      settings.port = static_cast<std::uint16_t>(std::atoi(argv[i]));
    }
  }
  if (settings.port == 0 || settings.connections == 0 || settings.in_flight == 0 ||
      settings.seconds <= 0)
    die("usage: rpc_load PORT [--connections N] [--in-flight N] [--seconds S | --requests N] "
        "[--echo]");
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  run(parse(argc, argv));
}
