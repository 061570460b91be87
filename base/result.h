// A value, or the reason why there is none.
#pragma once

#include "base/check.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice {

/// Why something could not be done. The canonical RPC names, and `device_lost`.
enum class ErrorCode : std::uint8_t {
  none = 0,            ///< No error; never carried by an Error.
  cancelled,           ///< The caller no longer wants it.
  invalid_argument,    ///< What was asked is wrong, whatever the state of the server.
  deadline_exceeded,   ///< Its time ran out.
  not_found,           ///< The named thing does not exist.
  resource_exhausted,  ///< A bound was reached; later it may work.
  unavailable,         ///< Cannot be served now: loading, draining, no worker.
  data_loss,           ///< Bytes are damaged or missing.
  internal,            ///< A fault of ours.
  device_lost,         ///< The device's context is poisoned; only a new process helps.
};

/// The name of a code as it is spelled above.
constexpr std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::none:
      return "none";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::deadline_exceeded:
      return "deadline_exceeded";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::resource_exhausted:
      return "resource_exhausted";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::data_loss:
      return "data_loss";
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::device_lost:
      return "device_lost";
  }
  return "unknown";
}

/// A code and one sentence that names the thing and the numbers: "prompt has 9000 tokens, the limit
/// is 8192".
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

/// A `T` or an `Error`; the interface of std::expected, so that C++23's can replace it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  /// The value. Having one is the caller's promise.
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& value() {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T value_or(T other) const { return has_value() ? **this : std::move(other); }

  /// The error. Having one is the caller's promise.
  [[nodiscard]] const Error& error() const {
    CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

/// Success, or an `Error`.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)
      : error_(std::move(error)), failed_(true) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return !failed_; }
  explicit operator bool() const { return !failed_; }
  [[nodiscard]] const Error& error() const {
    CHECK(failed_);
    return error_;
  }

 private:
  Error error_;
  bool failed_ = false;
};

}  // namespace sluice
