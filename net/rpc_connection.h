// One connection of Sluice RPC as a pure state machine: bytes in, requests out; answers in, bytes
// out.
#pragma once

#include "base/clock.h"
#include "net/frame.h"
#include "net/http.h"
#include "net/msgpack.h"
#include "net/rpc.h"
#include "net/rpc_protocol.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

/// Who answers a request, as its connection sees it.
class RpcAnswerer {
 public:
  virtual ~RpcAnswerer() = default;
  /// Nobody waits for the answer any more.
  virtual void gone() = 0;
  /// What waits here of its stream has changed.
  ///   bytes    of ITEMs
  ///   starved  they wait for credit
  virtual void buffered(std::size_t bytes, bool starved) = 0;
};

/// What went over the connections of a loop: counted on its thread, read by any.
struct RpcCounts {
  std::array<std::atomic<std::uint64_t>, kRpcTypeNames.size()> frames_in{};
  std::array<std::atomic<std::uint64_t>, kRpcTypeNames.size()> frames_out{};
  std::array<std::atomic<std::uint64_t>, kRpcFatalNames.size()> fatals{};

  /// For its one writer.
  static void add(std::atomic<std::uint64_t>& count) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

/// The server's side of the protocol: handshake, requests by number, credit, fairness, time-outs.
/// No I/O, no clock, no thread of its own; its owner feeds it and writes what it gives. One thread.
class RpcConnection {
 public:
  /// What the connection asks of whoever owns it; called from within its own calls.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) = 0;
    /// A request that is to be answered by `item` and `finish`, also from within this call.
    /// Returns who is to hear of its client; null: nobody.
    virtual std::shared_ptr<RpcAnswerer> on_request(RpcRequest& request) = 0;
    /// Of `RpcOptions::body_memory`, for a frame of so many bytes; null: there is no room. Whoever
    /// has to make room for others is told by `give_way`.
    virtual std::shared_ptr<BodyShare> open_share(std::size_t bytes) = 0;
  };

  ///   reader  shared with other connections of the thread; used within calls only
  ///   counts  outlives the connection
  RpcConnection(const RpcOptions& options,
                Owner& owner,
                MsgpackReader& reader,
                RpcCounts& counts,
                TimePoint now);
  ~RpcConnection();
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  /// Bytes of the client.
  void feed(std::string_view bytes, TimePoint now);
  /// The frame that is arriving is given up, for others need its memory.
  void give_way();

  /// An ITEM of a stream, a whole frame. Of no effect for a request that has ended.
  void item(std::uint32_t id, std::string frame);
  /// The last frame of a request.
  void finish(std::uint32_t id, std::string frame);

  /// No new requests; it is over when those that run have ended.
  ///   grace  how long they have
  void drain(Duration grace);
  /// There is no place for it. Before any byte was fed.
  ///   code  of GOAWAY: why
  void refuse(std::string_view code);
  /// It has no requests and goes: GOAWAY, and the end.
  void close_idle(std::string_view code);
  /// Looks at time-outs; to be called several times a second.
  void check_deadlines(TimePoint now);
  /// Tells everybody who answers that the client has gone.
  void abandon();

  /// Appends frames that may be sent now until there are `most` bytes in `out`; one at least, if
  /// there is one.
  void take(std::string& out, std::size_t most, TimePoint now);
  /// Bytes that wait here, also those that may not be sent yet.
  [[nodiscard]] std::size_t unsent_bytes() const { return control_.size() + answer_bytes_; }

  /// What it sends by itself waits for a client that does not read: nothing more should be read
  /// from it until that is gone.
  [[nodiscard]] bool is_flooded() const { return control_.size() > kControlBytesMax; }
  /// Nothing more is read, and the connection ends when what `take` gives is sent.
  [[nodiscard]] bool is_ending() const { return state_ == State::ending; }
  /// No request runs. Since when: for who makes room for others.
  [[nodiscard]] std::optional<TimePoint> idle_since() const;
  [[nodiscard]] std::size_t requests() const { return streams_.size(); }

 private:
  static constexpr std::size_t kControlBytesMax = std::size_t{64} << 10;
  static constexpr std::size_t kHelloBytesMax = std::size_t{64} << 10;

  enum class State : std::uint8_t { preface, hello, open, ending };

  /// A request that has no answer yet, or whose answer has not been taken.
  struct Stream {
    std::uint32_t id = 0;
    bool is_stream = false;
    bool queued = false;    ///< in `ready_`
    bool finished = false;  ///< nothing more is said of it
    std::uint64_t credit = 0;
    std::shared_ptr<RpcAnswerer> answerer;
    std::vector<std::string> items;
    std::size_t next_item = 0;
    std::size_t bytes = 0;  ///< of what waits
    std::string last;
    TimePoint starved_since = TimePoint::max();

    [[nodiscard]] bool has_items() const { return next_item < items.size(); }
    [[nodiscard]] bool has_something() const { return has_items() || !last.empty(); }
  };

  void read_preface(std::string_view& bytes);
  void read_frames();
  void watch_awaited();
  void refuse_awaited(const RpcError& error);
  void on_frame(std::string_view payload);
  [[nodiscard]] bool check_crc(std::string_view& payload);
  void on_hello(MsgpackCursor message);
  void on_request(MsgpackCursor message, std::size_t elements, std::size_t bytes);
  void on_cancel(MsgpackCursor message);
  void on_credit(MsgpackCursor message);
  void on_ping(MsgpackCursor message);
  bool is_bad(const MsgpackCursor& message);

  void fail(RpcFatalCode code, std::string message);
  void refuse_request(std::uint32_t id, bool is_stream, const RpcError& error);
  void cut(Stream& stream, const RpcError& error);
  void queue(Stream& stream);
  void requeue_all();
  void take_from(Stream& stream, std::string& out);
  void take_item(Stream& stream, std::string& out);
  void append(std::string& out, std::string_view frame) const;
  /// A frame of our own, made by `make(std::string&)`.
  template <class Make>
  void control(RpcType type, Make&& make);
  void tell(const Stream& stream);
  void count_out(RpcType type) {
    RpcCounts::add(counts_.frames_out[static_cast<std::size_t>(type)]);
  }
  void let_go_of_streams();

  const RpcOptions& options_;
  Owner& owner_;
  MsgpackReader& reader_;
  RpcCounts& counts_;
  State state_ = State::preface;
  std::string preface_;  ///< what has arrived of it
  FrameSplitter frames_{kHelloBytesMax};
  std::size_t frame_bytes_max_ = kHelloBytesMax;
  bool crc32c_ = false;
  bool draining_ = false;
  std::uint32_t last_id_ = 0;
  std::uint64_t stream_credit_ = 0;
  std::shared_ptr<const RpcClient> client_;

  std::string control_;  ///< frames of our own, which go first
  std::unordered_map<std::uint32_t, Stream> streams_;
  std::deque<Stream*> ready_;  ///< that may have something to send, in turn
  std::int64_t window_ = 0;    ///< bytes of ITEMs that the connection may send
  std::size_t answer_bytes_ = 0;

  std::shared_ptr<BodyShare> share_;  ///< of the frame that is arriving
  TimePoint frame_deadline_ = TimePoint::max();
  TimePoint now_;
  TimePoint opened_;
  TimePoint heard_;    ///< any bytes
  TimePoint traffic_;  ///< anything but pings
  TimePoint pong_deadline_ = TimePoint::max();
  std::uint64_t pings_ = 0;
};

}  // namespace sluice
