// What the server says of itself to probes and operators, from cached state alone.
#pragma once

#include "actors/front.h"
#include "actors/gateway.h"
#include "net/http.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// GET /health, /ready, /version: liveness, readiness, version. Health fails when and only when the
/// front itself makes no progress: a loop that does not turn, or actors that are not run. What its
/// workers do is readiness.
class Probes {
 public:
  Probes(std::shared_ptr<Front> front, std::shared_ptr<const GatewayOptions> options);

  /// Why the server is not ready; empty: it is.
  [[nodiscard]] std::vector<std::string> unready() const;
  [[nodiscard]] HttpResponse health(const std::string& request_id) const;
  [[nodiscard]] HttpResponse ready(const std::string& request_id) const;
  [[nodiscard]] HttpResponse version(const std::string& request_id) const;
  /// GET /admin/v1/workers: every lane, and the supervision tree.
  [[nodiscard]] HttpResponse workers(const std::string& request_id) const;
  /// GET /admin/v1/breakers: how much every lane may take, and why.
  [[nodiscard]] HttpResponse breakers(const std::string& request_id) const;
  /// GET /admin/v1/admission: the buckets, the tenants, and what was decided lately.
  ///   query  narrows what was decided lately; see admission_page.h
  [[nodiscard]] HttpResponse admission(std::string_view query, const std::string& request_id) const;

 private:
  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  TimePoint started_;
};

}  // namespace sluice
