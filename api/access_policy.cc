#include "api/access_policy.h"

#include "api/errors.h"
#include "net/ascii.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

bool same_place(const Origin& a, const Origin& b) {
  return a.scheme == b.scheme && a.authority.host == b.authority.host && a.port() == b.port();
}

}  // namespace

Result<AccessPolicy> AccessPolicy::create(const Options& options) {
  AccessPolicy policy;
  const bool v6 = options.address.find(':') != std::string::npos;
  auto own = parse_authority(v6 ? "[" + options.address + "]" : options.address);
  if (!own)
    return Error{ErrorCode::invalid_argument, "\"" + options.address + "\" is not an address"};
  policy.own_host_ = own->host;
  policy.loopback_ = own->is_loopback;
  policy.any_host_ = !own->is_loopback && options.hosts.empty();
  for (const std::string& text : options.hosts) {
    if (text == "*") {
      policy.any_host_ = true;
      continue;
    }
    auto host = parse_authority(text);
    if (!host)
      return Error{
          ErrorCode::invalid_argument,
          "\"" + text + "\" is not a host, such as api.example, api.example:8000 or [2001:db8::1]"};
    policy.hosts_.push_back(std::move(*host));
  }
  for (const std::string& text : options.origins) {
    if (text == "*") {
      policy.any_origin_ = true;
    } else if (text == "null") {
      policy.null_origin_ = true;
    } else if (auto origin = parse_origin(text)) {
      policy.origins_.push_back(std::move(*origin));
    } else {
      return Error{ErrorCode::invalid_argument,
                   "\"" + text +
                       "\" is not an origin: a scheme and a host without a path, such as "
                       "https://app.example or http://localhost:3000, or * for every web page"};
    }
  }
  return policy;
}

/// The name is known to be this server's, so that a page under it came from here.
bool AccessPolicy::is_ours(const Authority& host) const {
  if (host.is_loopback || host.host == own_host_) return true;
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const Authority& allowed) {
    return allowed.host == host.host && (!allowed.port || allowed.port == host.port);
  });
}

bool AccessPolicy::is_same(const Origin& origin, const std::optional<Authority>& host) const {
  // TLS may end before us, so that a page of https is as much of this server as one of http.
  if (!host || (origin.scheme != "http" && origin.scheme != "https")) return false;
  if (!host->is_address && !is_ours(*host)) return false;
  Origin called{origin.scheme, *host};
  return same_place(origin, called);
}

std::optional<ApiError> AccessPolicy::refuse(const HttpRequest& request) const {
  std::optional<Authority> host;
  // HTTP/1.0 may leave it out, and the empty one names nobody; no browser does either.
  if (auto field = request.header("host"); field && !field->empty()) {
    host = parse_authority(*field);
    const bool public_address = host && host->is_address && !loopback_;
    if (!any_host_ && !public_address && (!host || !is_ours(*host)))
      return errors::host_not_allowed(*field);
  }
  bool from_page = false;
  for (const auto& [name, value] : request.headers) {
    if (!ascii::equals(name, "origin")) continue;
    from_page = true;
    auto origin = parse_origin(value);
    const bool same = origin && is_same(*origin, host);
    if (!same && allowed_origin(value).empty()) return errors::origin_not_allowed(value);
  }
  // Browsers send no Origin with images, scripts and links, but say where those stand.
  const bool cross = ascii::equals(request.header("sec-fetch-site").value_or(""), "cross-site");
  if (cross && !from_page && !any_origin_) return errors::origin_not_allowed("another site");
  return std::nullopt;
}

std::string AccessPolicy::allowed_origin(std::string_view origin) const {
  if (any_origin_) return "*";
  if (origin == "null") return null_origin_ ? "null" : "";
  auto parsed = parse_origin(origin);
  const bool allowed =
      parsed && std::any_of(origins_.begin(), origins_.end(), [&](const Origin& one) {
        return same_place(one, *parsed);
      });
  return allowed ? std::string(origin) : "";
}

}  // namespace sluice
