// Who may speak to a listener: by which name it was called, and which web page calls. A browser
// lets any page send requests to any server its visitor can reach, so the server has to look.
#pragma once

#include "api/request.h"
#include "base/result.h"
#include "net/authority.h"
#include "net/http.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

/// The names of one listener and the web pages that may use it. Immutable; any thread.
///
/// Host: a listener on a loopback address answers to loopback names and its own address alone. A
/// page whose name was made to resolve to 127.0.0.1 (DNS rebinding) carries its own name there. Any
/// other listener answers to every name until it is told its own; addresses are always answered,
/// for no page can bring a browser here under an address that is not ours.
///
/// Origin: only pages of the listener itself and those that are configured. That a page has the
/// name we were called by proves nothing, unless that name is known to be ours.
class AccessPolicy {
 public:
  struct Options {
    std::string address;                  ///< the listener's own host: "127.0.0.1"
    std::vector<std::string> hosts = {};  ///< further names, "name" or "name:port"; "*": every name
    std::vector<std::string> origins = {};  ///< "https://app.example", "null"; "*": every page
  };

  /// Errors: invalid_argument, naming the entry and what is expected.
  static Result<AccessPolicy> create(const Options& options);

  /// Whether a request is refused, from its head. Errors: 403 `host_not_allowed`,
  /// `origin_not_allowed`.
  [[nodiscard]] std::optional<ApiError> refuse(const HttpRequest& request) const;

  /// What Access-Control-Allow-Origin says to a page of this origin; empty: nothing.
  [[nodiscard]] std::string allowed_origin(std::string_view origin) const;

 private:
  [[nodiscard]] bool is_ours(const Authority& host) const;
  [[nodiscard]] bool is_same(const Origin& origin, const std::optional<Authority>& host) const;

  std::string own_host_;
  bool loopback_ = false;  ///< nobody outside can reach the listener
  bool any_host_ = false;  ///< names need not be known
  std::vector<Authority> hosts_;
  bool any_origin_ = false;
  bool null_origin_ = false;
  std::vector<Origin> origins_;
};

}  // namespace sluice
