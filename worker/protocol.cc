// The link's messages as msgpack. Token ids and log probabilities travel as little-endian bytes:
// they are most of what is sent, and one copy each.
#include "worker/protocol.h"

#include "base/check.h"
#include "base/utf8.h"
#include "net/msgpack.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace sluice::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "token ids are copied as they lie");

// Types of messages; the numbers are the wire's.
enum class Type : std::uint8_t {
  start = 1,
  cancel = 2,
  stop = 3,
  grant = 4,
  hello = 16,
  phase = 17,
  ready = 18,
  tokens = 19,
  failed = 20,
  heartbeat = 21,
  bye = 22,
};

/// Sentences are cut to this when written; longer ones are refused when read.
constexpr std::size_t kTextBytesMax = 4096;
/// Of one model; the largest checkpoints have a few hundred.
constexpr std::size_t kFilesMax = 4096;
/// Each of the bytes of a list of tokens costs nothing but itself, elements cost a tape entry.
constexpr MsgpackLimits kLimits{.depth_max = 8, .elements_max = std::size_t{4} << 20};
/// A tape larger than this is given back after its message.
constexpr std::size_t kKeptTapeBytes = std::size_t{1} << 20;

// --- writing -------------------------------------------------------------------------------------

template <class T>
std::string_view raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// Text that came from anywhere: made valid, and cut between characters.
void write_text(MsgpackWriter& out, std::string_view text) {
  std::string valid = repair_utf8(text.substr(0, kTextBytesMax));
  if (valid.size() > kTextBytesMax)
    valid.resize(valid_utf8_prefix(std::string_view(valid).substr(0, kTextBytesMax)));
  out.string(valid);
}

using Pairs = std::vector<std::pair<TokenId, float>>;

void write_pairs(MsgpackWriter& out, const Pairs& pairs, std::string& scratch) {
  scratch.clear();
  for (const auto& [token, value] : pairs) {
    scratch.append(reinterpret_cast<const char*>(&token), sizeof token);
    scratch.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  out.bytes(scratch);
}

/// Flat: chosen, pairs, chosen, pairs, ...
void write_logprobs(MsgpackWriter& out,
                    const std::vector<TokenLogprobs>& logprobs,
                    std::string& scratch) {
  out.array(2 * logprobs.size());
  for (const TokenLogprobs& position : logprobs) {
    out.f32(position.chosen);
    write_pairs(out, position.top, scratch);
  }
}

void write(MsgpackWriter& out, const Start& start) {
  const Plan& plan = start.plan;
  const SamplingParams& sampling = plan.sampling;
  std::string scratch;
  out.array(16).u64(static_cast<unsigned>(Type::start)).u64(start.id.value).u64(start.epoch);
  out.bytes(raw(plan.prompt)).bytes(raw(start.emitted));
  out.u64(plan.max_tokens).u64(plan.min_tokens).bytes(raw(plan.stop_tokens));
  out.array(10);
  out.f32(sampling.temperature).f32(sampling.top_p).i64(sampling.top_k).f32(sampling.min_p);
  out.f32(sampling.typical_p).f32(sampling.repetition_penalty);
  out.f32(sampling.presence_penalty).f32(sampling.frequency_penalty);
  write_pairs(out, sampling.logit_bias, scratch);
  out.u64(sampling.seed);
  if (plan.logprobs)
    out.u64(*plan.logprobs);
  else
    out.nil();
  out.boolean(plan.prompt_logprobs).u64(start.prompt_logprobs_from);
  out.i64(start.time_left_ms).u64(start.urgency).u64(start.granted);
  out.u64(static_cast<std::uint32_t>(plan.attention_window));
}

void write(MsgpackWriter& out, const Grant& grant) {
  out.array(4).u64(static_cast<unsigned>(Type::grant)).u64(grant.id.value).u64(grant.epoch);
  out.u64(grant.granted);
}

void write(MsgpackWriter& out, const Cancel& cancel) {
  out.array(3).u64(static_cast<unsigned>(Type::cancel)).u64(cancel.id.value).u64(cancel.epoch);
}

void write(MsgpackWriter& out, const Stop& stop) {
  out.array(2).u64(static_cast<unsigned>(Type::stop)).boolean(stop.now);
}

void write(MsgpackWriter& out, const Hello& hello) {
  out.array(4).u64(static_cast<unsigned>(Type::hello)).u64(hello.protocol).i64(hello.pid);
  write_text(out, hello.version);
}

void write(MsgpackWriter& out, const Phase& phase) {
  out.array(2).u64(static_cast<unsigned>(Type::phase)).u64(static_cast<unsigned>(phase.name));
}

void write(MsgpackWriter& out, const Ready& ready) {
  out.array(13).u64(static_cast<unsigned>(Type::ready));
  out.u64(ready.slots).u64(ready.blocks).u64(ready.block_tokens).u64(ready.step_rows);
  out.u64(ready.fingerprint).u64(ready.golden);
  write_text(out, ready.architecture);
  write_text(out, ready.level);
  out.i64(ready.vocabulary).i64(ready.context).u64(ready.tokenizer);
  // Flat: six numbers a file.
  out.array(6 * ready.files.size());
  for (const FileDigest& one : ready.files) {
    out.u64(one.file.device).u64(one.file.inode).u64(one.file.size_bytes);
    out.i64(one.file.modified_ns).i64(one.file.changed_ns).u64(one.digest);
  }
}

/// An output without log probabilities, which is nearly every one, has five elements; its token,
/// which nearly always is one, stands there as a number.
void write(MsgpackWriter& out, const SequenceOutput& output, std::string& scratch) {
  bool full = !output.logprobs.empty() || !output.prompt_logprobs.empty();
  out.array(full ? 8 : 5).u64(output.id.value).u64(output.epoch).u64(output.first_index);
  if (output.tokens.size() == 1 && output.tokens[0] >= 0)
    out.u64(static_cast<std::uint64_t>(output.tokens[0]));
  else
    out.bytes(raw(output.tokens));
  out.u64(static_cast<unsigned>(output.finish));
  if (!full) return;
  write_logprobs(out, output.logprobs, scratch);
  out.u64(output.prompt_first);
  write_logprobs(out, output.prompt_logprobs, scratch);
}

void write(MsgpackWriter& out, const Tokens& tokens) {
  std::string scratch;
  out.array(4).u64(static_cast<unsigned>(Type::tokens)).array(tokens.outputs.size());
  for (const SequenceOutput& output : tokens.outputs)
    write(out, output, scratch);
  out.u64(tokens.rows).i64(tokens.step_us);
}

void write(MsgpackWriter& out, const Failed& failed) {
  out.array(5).u64(static_cast<unsigned>(Type::failed));
  out.u64(failed.id.value).u64(failed.epoch).u64(static_cast<unsigned>(failed.code));
  write_text(out, failed.message);
}

void write(MsgpackWriter& out, const Heartbeat& beat) {
  out.array(19).u64(static_cast<unsigned>(Type::heartbeat));
  out.u64(beat.steps).u64(beat.running).u64(beat.waiting).u64(beat.blocks_free);
  out.u64(beat.preemptions).i64(beat.step_age_ms).u64(beat.step_rows);
  out.u64(beat.descriptors).u64(beat.threads);
  out.u64(static_cast<unsigned>(beat.load.work)).u64(beat.load.bytes).u64(beat.load.bytes_in_all);
  out.u64(beat.load.tensors).u64(beat.load.tensors_in_all);
  out.u64(beat.compute_threads).u64(beat.compute_lost_permille).u64(beat.paused);
  out.u64(beat.commands);
}

void write(MsgpackWriter& out, const Bye& bye) {
  out.array(3).u64(static_cast<unsigned>(Type::bye)).u64(static_cast<unsigned>(bye.code));
  write_text(out, bye.message);
}

template <class Variant>
void encode_payload(const Variant& message, std::string& bytes) {
  std::size_t start = bytes.size();
  MsgpackWriter out(bytes);
  std::visit([&](const auto& body) { write(out, body); }, message);
  CHECK(bytes.size() - start <= wire::kFrameBytesMax);
}

// --- reading -------------------------------------------------------------------------------------

/// Where the elements of an array of a message end: later versions may have added some.
class Elements {
 public:
  Elements(MsgpackCursor& in, std::string_view field, std::size_t known)
      : in_(in), count_(in.array(field, known)), known_(known) {}
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Leaves those behind that are not known.
  void end() {
    if (count_ > known_) in_.skip(count_ - known_);
  }
  void knows(std::size_t known) { known_ = known; }

 private:
  MsgpackCursor& in_;
  std::size_t count_;
  std::size_t known_;
};

std::string read_text(MsgpackCursor& in, std::string_view field) {
  std::string_view text = in.string(field);
  if (text.size() > kTextBytesMax) {
    in.fail(field, "has " + std::to_string(text.size()) + " bytes, the limit is 4096");
    return {};
  }
  return std::string(text);
}

std::int32_t read_i32(MsgpackCursor& in, std::string_view field) {
  std::int64_t value = in.i64(field);
  if (value < std::numeric_limits<std::int32_t>::min() ||
      value > std::numeric_limits<std::int32_t>::max()) {
    in.fail(field, "is " + std::to_string(value) + ", which has more than 32 bits");
    return 0;
  }
  return static_cast<std::int32_t>(value);
}

template <class Enum>
Enum read_enum(MsgpackCursor& in, std::string_view field, Enum last) {
  return static_cast<Enum>(in.u64(field, static_cast<std::uint64_t>(last)));
}

void read_tokens(MsgpackCursor& in, std::string_view field, std::vector<TokenId>& tokens) {
  std::string_view bytes = in.bytes(field);
  if (bytes.size() % sizeof(TokenId) != 0)
    return in.fail(field, "has " + std::to_string(bytes.size()) + " bytes, not four a token");
  tokens.resize(bytes.size() / sizeof(TokenId));
  if (!tokens.empty()) std::memcpy(tokens.data(), bytes.data(), bytes.size());
  for (TokenId token : tokens)
    if (token < 0) return in.fail(field, "has the token " + std::to_string(token));
}

void read_pairs(MsgpackCursor& in, std::string_view field, Pairs& pairs) {
  constexpr std::size_t kPairBytes = sizeof(TokenId) + sizeof(float);
  std::string_view bytes = in.bytes(field);
  if (bytes.size() % kPairBytes != 0)
    return in.fail(field, "has " + std::to_string(bytes.size()) + " bytes, not eight a pair");
  pairs.resize(bytes.size() / kPairBytes);
  const char* from = bytes.data();
  for (auto& [token, value] : pairs) {
    std::memcpy(&token, from, sizeof token);
    std::memcpy(&value, from + sizeof token, sizeof value);
    from += kPairBytes;
    if (token < 0) return in.fail(field, "has the token " + std::to_string(token));
  }
}

void read_logprobs(MsgpackCursor& in,
                   std::string_view field,
                   std::vector<TokenLogprobs>& logprobs) {
  std::size_t count = in.array(field);
  if (count % 2 != 0) return in.fail(field, "has a position without its alternatives");
  // A position has five bytes at the least, its struct 32: a small multiple.
  logprobs.resize(count / 2);
  for (TokenLogprobs& position : logprobs) {
    position.chosen = in.f32(field);
    read_pairs(in, field, position.top);
    if (!in.ok()) return;
  }
}

void read_sampling(MsgpackCursor& in, SamplingParams& sampling) {
  Elements elements(in, "sampling", 10);
  sampling.temperature = in.f32("temperature");
  sampling.top_p = in.f32("top_p");
  sampling.top_k = read_i32(in, "top_k");
  sampling.min_p = in.f32("min_p");
  sampling.typical_p = in.f32("typical_p");
  sampling.repetition_penalty = in.f32("repetition_penalty");
  sampling.presence_penalty = in.f32("presence_penalty");
  sampling.frequency_penalty = in.f32("frequency_penalty");
  read_pairs(in, "logit_bias", sampling.logit_bias);
  sampling.seed = in.u64("seed");
  elements.end();
}

Start read_start(MsgpackCursor& in) {
  Start start;
  start.id.value = in.u64("id");
  start.epoch = in.u32("epoch");
  read_tokens(in, "prompt", start.plan.prompt);
  read_tokens(in, "emitted", start.emitted);
  start.plan.max_tokens = in.u32("max_tokens");
  start.plan.min_tokens = in.u32("min_tokens");
  read_tokens(in, "stop_tokens", start.plan.stop_tokens);
  read_sampling(in, start.plan.sampling);
  if (!in.nil()) start.plan.logprobs = in.u32("logprobs");
  start.plan.prompt_logprobs = in.boolean("prompt_logprobs");
  start.prompt_logprobs_from = in.u32("prompt_logprobs_from");
  start.time_left_ms = in.i64("time_left_ms");
  start.urgency = static_cast<std::uint8_t>(in.u64("urgency", UINT8_MAX));
  start.granted = in.u32("granted");
  start.plan.attention_window = static_cast<std::int32_t>(
      in.u64("attention_window", std::numeric_limits<std::int32_t>::max()));
  return start;
}

Ready read_ready(MsgpackCursor& in) {
  Ready ready;
  ready.slots = in.u32("slots");
  ready.blocks = in.u32("blocks");
  ready.block_tokens = in.u32("block_tokens");
  ready.step_rows = in.u32("step_rows");
  ready.fingerprint = in.u64("fingerprint");
  ready.golden = in.u64("golden");
  ready.architecture = read_text(in, "architecture");
  ready.level = read_text(in, "level");
  ready.vocabulary = read_i32(in, "vocabulary");
  ready.context = read_i32(in, "context");
  ready.tokenizer = in.u64("tokenizer");
  std::size_t numbers = in.array("files");
  if (numbers % 6 != 0 || numbers / 6 > kFilesMax) {
    in.fail("files",
            "has " + std::to_string(numbers) + " numbers, six for each of at most " +
                std::to_string(kFilesMax) + " files are wanted");
    return ready;
  }
  ready.files.resize(numbers / 6);
  for (FileDigest& one : ready.files) {
    one.file.device = in.u64("device");
    one.file.inode = in.u64("inode");
    one.file.size_bytes = in.u64("size_bytes");
    one.file.modified_ns = in.i64("modified_ns");
    one.file.changed_ns = in.i64("changed_ns");
    one.digest = in.u64("digest");
  }
  return ready;
}

void read_output(MsgpackCursor& in, SequenceOutput& output) {
  Elements elements(in, "output", 5);
  output.id.value = in.u64("id");
  output.epoch = in.u32("epoch");
  output.first_index = in.u32("first_index");
  if (in.peek() == MsgpackKind::uint)
    output.tokens.push_back(static_cast<TokenId>(in.u64("tokens", INT32_MAX)));
  else
    read_tokens(in, "tokens", output.tokens);
  output.finish = read_enum(in, "finish", Finish::length);
  if (elements.count() >= 8) {
    elements.knows(8);
    read_logprobs(in, "logprobs", output.logprobs);
    output.prompt_first = in.u32("prompt_first");
    read_logprobs(in, "prompt_logprobs", output.prompt_logprobs);
  }
  elements.end();
}

Tokens read_outputs(MsgpackCursor& in) {
  Tokens tokens;
  std::size_t count = in.array("outputs");
  // Grows with what is really there: an output has six bytes at the least, its struct far more.
  tokens.outputs.reserve(std::min<std::size_t>(count, 4096));
  for (std::size_t i = 0; i < count && in.ok(); ++i)
    read_output(in, tokens.outputs.emplace_back());
  tokens.rows = in.u32("rows");
  tokens.step_us = in.i64("step_us");
  return tokens;
}

Failed read_failed(MsgpackCursor& in) {
  Failed failed;
  failed.id.value = in.u64("id");
  failed.epoch = in.u32("epoch");
  failed.code = read_enum(in, "code", ErrorCode::device_lost);
  failed.message = read_text(in, "message");
  return failed;
}

Heartbeat read_heartbeat(MsgpackCursor& in) {
  Heartbeat beat;
  beat.steps = in.u64("steps");
  beat.running = in.u32("running");
  beat.waiting = in.u32("waiting");
  beat.blocks_free = in.u32("blocks_free");
  beat.preemptions = in.u64("preemptions");
  beat.step_age_ms = in.i64("step_age_ms");
  beat.step_rows = in.u32("step_rows");
  beat.descriptors = in.u32("descriptors");
  beat.threads = in.u32("threads");
  beat.load.work = read_enum(in, "load.work", LoadProgress::kWorkLast);
  beat.load.bytes = in.u64("load.bytes");
  beat.load.bytes_in_all = in.u64("load.bytes_in_all");
  beat.load.tensors = in.u32("load.tensors");
  beat.load.tensors_in_all = in.u32("load.tensors_in_all");
  beat.compute_threads = in.u32("compute_threads");
  beat.compute_lost_permille = in.u32("compute_lost_permille");
  beat.paused = in.u32("paused");
  beat.commands = in.u64("commands");
  return beat;
}

/// Parses a payload and hands the elements behind the type to `read`, which returns the message, or
/// none for a type that does not travel in this direction.
template <class Message, class Read>
Result<Message> decode(std::string_view payload, Read read) {
  if (payload.size() > wire::kFrameBytesMax)
    return Error{ErrorCode::data_loss,
                 "a message of " + std::to_string(payload.size()) + " bytes, the limit is " +
                     std::to_string(wire::kFrameBytesMax)};
  thread_local MsgpackReader reader(kLimits);
  auto result = [&]() -> Result<Message> {
    auto parsed = reader.parse(payload);
    if (!parsed) return parsed.error();
    MsgpackCursor in = *parsed;
    std::size_t elements = in.array("message", 1);
    std::uint64_t type = in.u64("type");
    if (!in.ok()) return in.result().error();
    std::optional<Message> message = read(in, type, elements - 1);
    if (auto read_all = in.result(); !read_all) return read_all.error();
    if (!message)
      return Error{ErrorCode::data_loss, "a message of the unknown type " + std::to_string(type)};
    return *std::move(message);
  }();
  if (reader.capacity_bytes() > kKeptTapeBytes) reader = MsgpackReader(kLimits);
  return result;
}

}  // namespace

void encode(const ToWorker& message, std::string& bytes) {
  encode_payload(message, bytes);
}

void encode(const ToFront& message, std::string& bytes) {
  encode_payload(message, bytes);
}

Result<ToWorker> decode_to_worker(std::string_view payload) {
  return decode<ToWorker>(
      payload,
      [](MsgpackCursor& in, std::uint64_t type, std::size_t elements) -> std::optional<ToWorker> {
        auto needs = [&](std::size_t count) {
          if (elements < count) in.fail("message", "has too few elements");
        };
        switch (type) {
          case static_cast<std::uint64_t>(Type::start):
            needs(15);
            return read_start(in);
          case static_cast<std::uint64_t>(Type::grant): {
            needs(3);
            Grant grant;
            grant.id.value = in.u64("id");
            grant.epoch = in.u32("epoch");
            grant.granted = in.u32("granted");
            return grant;
          }
          case static_cast<std::uint64_t>(Type::cancel): {
            needs(2);
            Cancel cancel;
            cancel.id.value = in.u64("id");
            cancel.epoch = in.u32("epoch");
            return cancel;
          }
          case static_cast<std::uint64_t>(Type::stop):
            needs(1);
            return Stop{in.boolean("now")};
          default:
            return std::nullopt;
        }
      });
}

Result<ToFront> decode_to_front(std::string_view payload) {
  return decode<ToFront>(
      payload,
      [](MsgpackCursor& in, std::uint64_t type, std::size_t elements) -> std::optional<ToFront> {
        auto needs = [&](std::size_t count) {
          if (elements < count) in.fail("message", "has too few elements");
        };
        switch (type) {
          case static_cast<std::uint64_t>(Type::hello): {
            needs(3);
            Hello hello;
            hello.protocol = in.u32("protocol");
            hello.pid = in.i64("pid");
            hello.version = read_text(in, "version");
            return hello;
          }
          case static_cast<std::uint64_t>(Type::phase):
            needs(1);
            return Phase{read_enum(in, "phase", Phase::Name::self_test)};
          case static_cast<std::uint64_t>(Type::ready):
            needs(11);
            return read_ready(in);
          case static_cast<std::uint64_t>(Type::tokens):
            needs(3);
            return read_outputs(in);
          case static_cast<std::uint64_t>(Type::failed):
            needs(4);
            return read_failed(in);
          case static_cast<std::uint64_t>(Type::heartbeat):
            needs(13);
            return read_heartbeat(in);
          case static_cast<std::uint64_t>(Type::bye): {
            needs(2);
            Bye bye;
            bye.code = read_enum(in, "code", ErrorCode::device_lost);
            bye.message = read_text(in, "message");
            return bye;
          }
          default:
            return std::nullopt;
        }
      });
}

}  // namespace sluice::wire
