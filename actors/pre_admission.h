// What is refused whatever a request says, before its body costs anybody a look.
#pragma once

#include "actors/front.h"
#include "admission/decision.h"
#include "api/keys.h"
#include "api/request.h"

#include <string_view>

namespace sluice {

/// Looks at what is known of a client: shutting down, its limits, the crowd before admission, the
/// ladder. Thread-safe; nothing in it waits.
class PreAdmission {
 public:
  ///   front  outlives it
  explicit PreAdmission(Front& front) : front_(front) {}

  /// Whether a request of the client may be read; a refusal is told to operators.
  ///   is_known  it may ask for what runs or is kept, which would take nothing from its buckets
  [[nodiscard]] Decision decide(const Client& client,
                                bool is_known,
                                std::string_view request_id) const;

 private:
  [[nodiscard]] Decision look(const Client& client, bool is_known) const;
  [[nodiscard]] Decision check_crowd() const;

  Front& front_;
};

}  // namespace sluice
