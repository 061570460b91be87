// The plugin interface in C++20: write a class with the hooks you want, and name it to
// SLUICE_PLUGIN.
//
//   struct Greeter : sluice::Plugin<Greeter> {
//     static constexpr std::string_view manifest() {
//       return R"({"name": "greeter", "version": "1.0.0", "hooks": ["admission"]})";
//     }
//     sluice::Answer on_admission(sluice::Call& call) {
//       if (call.user() == "mallory") return sluice::refuse("not_you", "Mallory may not enter.");
//       return sluice::accept();
//     }
//   };
//   SLUICE_PLUGIN(Greeter)
//
// What a class may have, each found by its name:
//
//   void start(const Json& config)                     once, before everything else; may throw
//   Answer on_admission(Call&)                         plugin.h says when each hook is called, on
//   which Answer on_preprocess(Call&)                        threads, and how long strings live
//   Answer on_route(Call&)
//   Answer on_output(Call&, const OutputPiece&)
//   Answer on_postprocess(Call&)
//   void execute(std::vector<Pending> batch)           answer each, now or later
//   void on_credit(sluice_call), on_cancel(sluice_call)
//   void observe(std::string_view event_json)
//   std::string health()                               empty: healthy
//   void reload(const Json& config)                    throws, changing nothing, if it does not
//   take it
//
// The class is default-constructed; its destructor has to end its threads. Exceptions are caught,
// logged, and count as failure of the call. Header-only, without dependencies.
#pragma once

#include "json.hpp"
#include "plugin.h"

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Something cannot be done: a field that may not be read or written, a configuration that makes no
/// sense. Thrown by the SDK and by plugins.
class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a hook answers. Made by the functions below.
struct Answer {
  sluice_status status = SLUICE_OK;
  std::string code;    ///< a-z, 0-9 and _: for programs
  std::string detail;  ///< a sentence: for people
  std::optional<std::chrono::milliseconds> retry_after;
};

/// Done; what was set takes effect.
inline Answer accept() {
  return {};
}
/// Nothing to say.
inline Answer skip() {
  return {SLUICE_SKIP, {}, {}, {}};
}
/// The request is refused.
inline Answer refuse(std::string code,
                     std::string detail,
                     std::optional<std::chrono::milliseconds> retry_after = {}) {
  return {SLUICE_REJECT, std::move(code), std::move(detail), retry_after};
}
/// The plugin cannot tell; its failure policy decides.
inline Answer fail(std::string detail) {
  return {SLUICE_ERROR, {}, std::move(detail), {}};
}
/// The answer follows by the `Pending` that `Call::pend` gave.
inline Answer pend() {
  return {SLUICE_PENDING, {}, {}, {}};
}

namespace detail {

inline sluice_str as_str(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view as_view(sluice_str text) {
  return text.ptr ? std::string_view(text.ptr, text.len) : std::string_view();
}

}  // namespace detail

/// The host's functions for one instance. Thread-safe.
class Host {
 public:
  Host() = default;
  Host(const sluice_host_api* api, sluice_host* host) : api_(api), host_(host) {}

  /// Writes a line to the server's log. `level` is one of SLUICE_LOG_....
  void log(int level, std::string_view message) const {
    api_->log(host_, level, detail::as_str(message));
  }
  void info(std::string_view message) const { log(SLUICE_LOG_INFO, message); }
  void warning(std::string_view message) const { log(SLUICE_LOG_WARNING, message); }
  void error(std::string_view message) const { log(SLUICE_LOG_ERROR, message); }

  /// Changes a metric by its index in the manifest: a counter or gauge, a gauge, a histogram.
  void add(std::uint32_t metric, double value = 1) const { api_->metric_add(host_, metric, value); }
  void set(std::uint32_t metric, double value) const { api_->metric_set(host_, metric, value); }
  void observe(std::uint32_t metric, double value) const {
    api_->metric_observe(host_, metric, value);
  }

  /// The time since 1970, which may jump, and one that never goes backwards.
  [[nodiscard]] std::chrono::milliseconds unix_time() const {
    return std::chrono::milliseconds(api_->now_unix_ms(host_));
  }
  [[nodiscard]] std::chrono::nanoseconds monotonic_time() const {
    return std::chrono::nanoseconds(api_->now_monotonic_ns(host_));
  }

  [[nodiscard]] const sluice_host_api& api() const { return *api_; }
  [[nodiscard]] sluice_host* get() const { return host_; }

 private:
  const sluice_host_api* api_ = nullptr;
  sluice_host* host_ = nullptr;
};

/// Periodic work, for as long as the object lives. To be made, moved and destroyed in `start`,
/// hooks, `reload`, timers and the plugin's destructor.
class Timer {
 public:
  Timer() = default;
  Timer(Timer&&) = default;
  Timer& operator=(Timer&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Timer() { stop(); }

  /// Runs `work` after `first`, then every `period` (zero: once).
  /// Throws PluginError: there are too many timers.
  static Timer start(Host host,
                     std::chrono::milliseconds first,
                     std::chrono::milliseconds period,
                     std::function<void()> work) {
    Timer timer;
    timer.state_ = std::make_unique<State>(State{host, std::move(work), 0});
    timer.state_->number = host.api().timer_start(host.get(),
                                                  static_cast<std::uint64_t>(first.count()),
                                                  static_cast<std::uint64_t>(period.count()),
                                                  &Timer::run,
                                                  timer.state_.get());
    if (timer.state_->number == 0) throw PluginError("there are too many timers");
    return timer;
  }
  void stop() {
    if (state_) state_->host.api().timer_stop(state_->host.get(), state_->number);
    state_.reset();
  }

 private:
  struct State {
    Host host;
    std::function<void()> work;
    std::uint64_t number = 0;
  };

  static void run(void* context) {
    Host host = static_cast<State*>(context)->host;
    // A copy, because the work may destroy its own timer.
    try {
      std::function<void()> work = static_cast<State*>(context)->work;
      work();
    } catch (const std::exception& error) {
      host.error(std::string("a timer threw: ") + error.what());
    } catch (...) {
      host.error("a timer threw");
    }
  }

  std::unique_ptr<State> state_;
};

class Pending;

/// One request at one hook. Valid as long as the call belongs to the plugin; what the getters
/// return is, too. An absent field is empty or none. Getters and setters throw PluginError where
/// the manifest or the hook does not allow them.
class Call {
 public:
  Call(Host host, sluice_call number) : host_(host), number_(number) {}

  [[nodiscard]] std::string_view model() const { return text_of("model"); }
  [[nodiscard]] std::string_view user() const { return text_of("user"); }
  [[nodiscard]] std::string_view tenant() const { return text_of("tenant"); }
  [[nodiscard]] std::string_view priority_class() const { return text_of("class"); }
  [[nodiscard]] std::string_view request_id() const { return text_of("request_id"); }
  [[nodiscard]] bool streams() const { return text_of("stream") == "true"; }
  [[nodiscard]] std::optional<std::int64_t> tokens_est() const { return number_of("tokens_est"); }
  /// What was left when the call began.
  [[nodiscard]] std::optional<std::chrono::milliseconds> deadline() const {
    auto left = number_of("deadline_ms");
    if (!left) return std::nullopt;
    return std::chrono::milliseconds(*left);
  }
  /// A header of the request by its lower-case name. Needs the permission "headers".
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return get("header." + std::string(name));
  }
  /// What is asked; one of prompt and messages. Need the permission "prompt".
  [[nodiscard]] std::optional<std::string_view> prompt() const { return get("prompt"); }
  [[nodiscard]] std::optional<std::string_view> messages_json() const {
    return get("messages_json");
  }
  [[nodiscard]] std::string_view params_json() const { return text_of("params_json"); }
  [[nodiscard]] std::string_view input() const { return text_of("input"); }  ///< MessagePack
  /// The delta or the answer. Needs the permission "output".
  [[nodiscard]] std::string_view text() const { return text_of("text"); }

  void set_class(std::string_view name) { set("class", name); }
  void set_cost(std::int64_t tokens) { set("cost", std::to_string(tokens)); }
  void set_prompt(std::string_view prompt) { set("prompt", prompt); }
  void set_messages_json(std::string_view json) { set("messages_json", json); }
  void set_params_json(std::string_view json) { set("params_json", json); }
  void set_model(std::string_view name) { set("model", name); }
  void set_worker(std::string_view name) { set("worker", name); }
  void set_text(std::string_view text) { set("text", text); }
  void stop() { set("stop", "true"); }  ///< the answer ends with this piece

  /// A field by its key in plugin.h.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view key) const {
    sluice_str value{};
    sluice_status status = host_.api().call_get(host_.get(), number_, detail::as_str(key), &value);
    if (status == SLUICE_OK) return detail::as_view(value);
    if (status == SLUICE_SKIP) return std::nullopt;
    throw PluginError("the field " + std::string(key) + " cannot be read here");
  }
  void set(std::string_view key, std::string_view value) {
    sluice_status status =
        host_.api().call_set(host_.get(), number_, detail::as_str(key), detail::as_str(value));
    if (status == SLUICE_ERROR)
      throw PluginError("the field " + std::string(key) + " cannot be written here, or not so");
  }

  /// Whether nobody waits for the answer any more.
  [[nodiscard]] bool cancelled() const {
    return host_.api().call_cancelled(host_.get(), number_) != 0;
  }
  /// The right and the duty to answer later. Once; the hook then returns `pend()`.
  Pending pend();

  [[nodiscard]] sluice_call number() const { return number_; }
  [[nodiscard]] bool pends() const { return pends_; }
  [[nodiscard]] const Host& host() const { return host_; }

 private:
  [[nodiscard]] std::string_view text_of(std::string_view key) const {
    return get(key).value_or(std::string_view());
  }
  [[nodiscard]] std::optional<std::int64_t> number_of(std::string_view key) const {
    auto text = get(key);
    std::int64_t number = 0;
    if (!text) return std::nullopt;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return number;
  }

  Host host_;
  sluice_call number_;
  bool pends_ = false;
};

namespace detail {

/// Writes down why a call failed, and says its status.
inline sluice_status conclude(const Host& host, sluice_call number, const Answer& answer) {
  auto write = [&](std::string_view key, std::string_view value) {
    return host.api().call_set(host.get(), number, as_str(key), as_str(value)) != SLUICE_ERROR;
  };
  bool written = true;
  if (!answer.detail.empty()) written &= write("detail", answer.detail);
  if (!answer.code.empty()) written &= write("code", answer.code);
  if (answer.retry_after)
    written &= write("retry_after_ms", std::to_string(answer.retry_after->count()));
  if (!written) host.warning("the reason of an answer was not taken: " + answer.code);
  return answer.status;
}

}  // namespace detail

/// A call that is answered later, from any thread. Moves, and answers exactly once: destroyed
/// without an answer it fails the call. Must not outlive its plugin's instance.
class Pending {
 public:
  Pending(Host host, sluice_call number) : call_(std::in_place, host, number) {}
  Pending(Pending&& other) noexcept : call_(std::exchange(other.call_, std::nullopt)) {}
  Pending& operator=(Pending&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~Pending() {
    if (call_) finish(SLUICE_ERROR, "the plugin dropped the call");
  }

  /// The call, until it is answered.
  [[nodiscard]] Call& call() { return call_.value(); }
  [[nodiscard]] sluice_call number() const { return call_.value().number(); }
  [[nodiscard]] bool answered() const { return !call_; }
  [[nodiscard]] bool cancelled() const { return call_.value().cancelled(); }

  /// Gives one item of an answer of `execute`, as MessagePack; false: no credit, try again when
  /// `on_credit` names this call. Throws PluginError: it is no such call, or the item is too long.
  [[nodiscard]] bool emit(std::string_view item) {
    const Host& host = call_.value().host();
    sluice_status status = host.api().emit(host.get(), call_->number(), detail::as_str(item));
    if (status == SLUICE_ERROR) throw PluginError("an item was not taken");
    return status == SLUICE_OK;
  }

  /// Answers. Does nothing if it has been answered.
  void complete(const Answer& answer) {
    if (!call_) return;
    Host host = call_->host();
    sluice_call number = std::exchange(call_, std::nullopt)->number();
    host.api().call_complete(host.get(), number, detail::conclude(host, number, answer));
  }

 private:
  /// As `complete`, without allocating: it must not throw.
  void finish(sluice_status status, std::string_view why) noexcept {
    const sluice_host_api& api = call_->host().api();
    sluice_host* host = call_->host().get();
    api.call_set(host, call_->number(), detail::as_str("detail"), detail::as_str(why));
    api.call_complete(host, call_->number(), status);
  }

  std::optional<Call> call_;
};

inline Pending Call::pend() {
  if (std::exchange(pends_, true)) throw PluginError("the call is pending already");
  return {host_, number_};
}

/// A piece of an answer.
struct OutputPiece {
  std::uint64_t stream = 0;  ///< which answer
  std::string_view delta;    ///< valid until the hook returns
  bool last = false;         ///< nothing follows: give what was held back
  bool aborted = false;      ///< with `last`: nobody reads on
};

/// The base of a plugin's class.
template <class Self>
class Plugin {
 public:
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

 protected:
  Plugin() = default;
  ~Plugin() = default;

  [[nodiscard]] const Host& host() const { return host_; }
  /// Runs `work` every `period` while the timer lives.
  [[nodiscard]] Timer every(std::chrono::milliseconds period, std::function<void()> work) const {
    return Timer::start(host_, period, period, std::move(work));
  }

 private:
  template <class>
  friend struct PluginTable;
  Host host_;
  std::string message_;  ///< what the host was last told by a view
};

/// The functions of the interface for a class: what SLUICE_PLUGIN exports.
template <class T>
struct PluginTable {
  /// A method that is there but does not fit would not be called: a mistake, found here.
#define SLUICE_DETAIL_HAS(name, ...)                                                   \
  static constexpr bool has_##name() {                                                 \
    if constexpr (requires { &T::name; })                                              \
      static_assert(__VA_ARGS__, #name " has another signature than plugin.hpp says"); \
    return requires {                                                                  \
      &T::name;                                                                        \
    };                                                                                 \
  }
  SLUICE_DETAIL_HAS(
      start, requires(T& t, const Json& json) { t.start(json); })
  SLUICE_DETAIL_HAS(
      on_admission, requires(T& t, Call& call) {
        { t.on_admission(call) } -> std::same_as<Answer>;
      })
  SLUICE_DETAIL_HAS(
      on_preprocess, requires(T& t, Call& call) {
        { t.on_preprocess(call) } -> std::same_as<Answer>;
      })
  SLUICE_DETAIL_HAS(
      on_route, requires(T& t, Call& call) {
        { t.on_route(call) } -> std::same_as<Answer>;
      })
  SLUICE_DETAIL_HAS(
      on_output, requires(T& t, Call& call, const OutputPiece& piece) {
        { t.on_output(call, piece) } -> std::same_as<Answer>;
      })
  SLUICE_DETAIL_HAS(
      on_postprocess, requires(T& t, Call& call) {
        { t.on_postprocess(call) } -> std::same_as<Answer>;
      })
  SLUICE_DETAIL_HAS(
      execute, requires(T& t, std::vector<Pending> batch) { t.execute(std::move(batch)); })
  SLUICE_DETAIL_HAS(
      on_credit, requires(T& t, sluice_call call) { t.on_credit(call); })
  SLUICE_DETAIL_HAS(
      on_cancel, requires(T& t, sluice_call call) { t.on_cancel(call); })
  SLUICE_DETAIL_HAS(
      observe, requires(T& t, std::string_view event) { t.observe(event); })
  SLUICE_DETAIL_HAS(
      health, requires(T& t) {
        { t.health() } -> std::convertible_to<std::string>;
      })
  SLUICE_DETAIL_HAS(
      reload, requires(T& t, const Json& json) { t.reload(json); })
#undef SLUICE_DETAIL_HAS

  static const sluice_plugin* get() {
    static const sluice_plugin table = make();
    return &table;
  }

 private:
  static sluice_plugin make() {
    sluice_plugin table{};
    table.struct_size = sizeof table;
    table.abi_major = SLUICE_PLUGIN_ABI_MAJOR;
    table.abi_minor = SLUICE_PLUGIN_ABI_MINOR;
    table.manifest_json = detail::as_str(T::manifest());
    table.create = create;
    table.destroy = [](void* self) { delete static_cast<T*>(self); };
    if constexpr (has_on_admission()) {
      table.hooks |= SLUICE_HOOK_ADMISSION;
      table.on_admission = [](void* self, sluice_call number) {
        return ask(self, number, [](T& t, Call& call) { return t.on_admission(call); });
      };
    }
    if constexpr (has_on_preprocess()) {
      table.hooks |= SLUICE_HOOK_PREPROCESS;
      table.on_preprocess = [](void* self, sluice_call number) {
        return ask(self, number, [](T& t, Call& call) { return t.on_preprocess(call); });
      };
    }
    if constexpr (has_on_route()) {
      table.hooks |= SLUICE_HOOK_ROUTE;
      table.on_route = [](void* self, sluice_call number) {
        return ask(self, number, [](T& t, Call& call) { return t.on_route(call); });
      };
    }
    if constexpr (has_on_output()) {
      table.hooks |= SLUICE_HOOK_OUTPUT;
      table.on_output = [](void* self, sluice_call number, const sluice_output* output) {
        OutputPiece piece{output->stream,
                          detail::as_view(output->delta),
                          (output->flags & SLUICE_OUTPUT_LAST) != 0,
                          (output->flags & SLUICE_OUTPUT_ABORTED) != 0};
        return ask(self, number, [&](T& t, Call& call) { return t.on_output(call, piece); });
      };
    }
    if constexpr (has_on_postprocess()) {
      table.hooks |= SLUICE_HOOK_POSTPROCESS;
      table.on_postprocess = [](void* self, sluice_call number) {
        return ask(self, number, [](T& t, Call& call) { return t.on_postprocess(call); });
      };
    }
    if constexpr (has_execute()) {
      table.hooks |= SLUICE_HOOK_EXECUTE;
      table.execute = execute;
    }
    if constexpr (has_on_credit()) {
      table.on_credit = [](void* self, sluice_call call) {
        tell(self, "on_credit", [&](T& t) { t.on_credit(call); });
      };
    }
    if constexpr (has_on_cancel()) {
      table.on_cancel = [](void* self, sluice_call call) {
        tell(self, "on_cancel", [&](T& t) { t.on_cancel(call); });
      };
    }
    if constexpr (has_observe()) {
      table.hooks |= SLUICE_HOOK_OBSERVE;
      table.observe = [](void* self, sluice_str event) {
        tell(self, "observe", [&](T& t) { t.observe(detail::as_view(event)); });
      };
    }
    if constexpr (has_health()) table.health = health;
    if constexpr (has_reload()) table.reload = reload;
    return table;
  }

  static Plugin<T>& base(void* self) {
    return *static_cast<T*>(self);
  }

  /// What is being thrown, in words. To be called in a catch block.
  static std::string caught() noexcept {
    try {
      throw;
    } catch (const std::exception& error) {
      return error.what();
    } catch (...) {
      return "something that is no std::exception";
    }
  }

  static sluice_status create(const sluice_host_api* api,
                              sluice_host* host,
                              sluice_str config,
                              void** self,
                              sluice_str* error) {
    static thread_local std::string why;
    try {
      auto made = std::make_unique<T>();
      base(made.get()).host_ = Host(api, host);
      if constexpr (has_start()) made->start(Json::parse(detail::as_view(config)));
      *self = made.release();
      return SLUICE_OK;
    } catch (...) {
      why = caught();
      *error = detail::as_str(why);
      return SLUICE_ERROR;
    }
  }

  template <class Method>
  static sluice_status ask(void* self, sluice_call number, Method method) {
    Host host = base(self).host_;
    Call call(host, number);
    try {
      Answer answer = method(*static_cast<T*>(self), call);
      // Whoever made a Pending has left the answer to it.
      if (call.pends()) return SLUICE_PENDING;
      if (answer.status == SLUICE_PENDING) answer = fail("a hook pends without a Pending");
      return detail::conclude(host, number, answer);
    } catch (...) {
      std::string why = "a hook threw: " + caught();
      host.error(why);
      return call.pends() ? SLUICE_PENDING : detail::conclude(host, number, fail(why));
    }
  }

  static sluice_status execute(void* self, const sluice_call* calls, std::uint32_t n) {
    Host host = base(self).host_;
    std::vector<Pending> batch;
    try {
      batch.reserve(n);
    } catch (...) {
      return SLUICE_ERROR;
    }
    for (std::uint32_t i = 0; i < n; ++i)
      batch.emplace_back(host, calls[i]);
    // From here on each call is its Pending's, even if this throws.
    tell(self, "execute", [&](T& t) { t.execute(std::move(batch)); });
    return SLUICE_PENDING;
  }

  template <class Method>
  static void tell(void* self, const char* what, Method method) {
    try {
      method(*static_cast<T*>(self));
    } catch (...) {
      base(self).host_.error(std::string(what) + " threw: " + caught());
    }
  }

  static sluice_status health(void* self, sluice_str* detail) {
    std::string& message = base(self).message_;
    try {
      message = static_cast<T*>(self)->health();
    } catch (...) {
      message = "health threw: " + caught();
    }
    *detail = detail::as_str(message);
    return message.empty() ? SLUICE_OK : SLUICE_ERROR;
  }

  static sluice_status reload(void* self, sluice_str config, sluice_str* error) {
    std::string& message = base(self).message_;
    try {
      static_cast<T*>(self)->reload(Json::parse(detail::as_view(config)));
      return SLUICE_OK;
    } catch (...) {
      message = caught();
      *error = detail::as_str(message);
      return SLUICE_ERROR;
    }
  }
};

}  // namespace sluice

/// Exports a class as the plugin of this library. Outside of any namespace, once.
#define SLUICE_PLUGIN(Class)                                              \
  extern "C" SLUICE_EXPORT uint32_t sluice_plugin_abi(void) {             \
    return SLUICE_PLUGIN_ABI;                                             \
  }                                                                       \
  extern "C" SLUICE_EXPORT const sluice_plugin* sluice_plugin_get(void) { \
    return ::sluice::PluginTable<Class>::get();                           \
  }
