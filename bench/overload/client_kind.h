// Who asks: the kinds of clients of a run, as a file or the command line names them.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::overload {

/// Clients of one tenant and class that ask for the same and behave alike; a row of the report.
struct ClientKind {
  enum class Retry : std::uint8_t {
    none,    ///< takes the first answer
    polite,  ///< after a refusal: waits as told and a little longer, `attempts` times in all
    storm,   ///< after whatever is no answer: again after `retry_delay`, without limit
  };

  std::string tenant = "anonymous";
  std::string priority_class = "realtime";  ///< a label: what is sent is the service tier
  std::string key;                          ///< of the Authorization header; empty: none
  std::string service_tier;                 ///< empty: not sent
  double share = 1;                         ///< of all requests, relative to the other kinds
  std::uint32_t prompt_chars = 64;          ///< >= 16: each prompt begins with its own number
  std::uint32_t max_tokens = 16;
  bool stream = false;
  Duration objective = std::chrono::seconds(1);  ///< answered later is answered, but not good
  Duration patience = std::chrono::seconds(10);  ///< then the client closes; zero: never
  Duration attempt = Duration(0);   ///< then it closes and may try again; zero: its patience
  Duration deadline = Duration(0);  ///< told to the server with each request; zero: not told
  Retry retry = Retry::none;
  std::uint32_t attempts = 4;
  Duration retry_delay = Duration(0);  ///< of a storm; zero: at once, that is, in a millisecond
};

/// Sets one field by its name in files: tenant, class, key, service_tier, share, prompt_chars,
/// max_tokens, stream, objective_ms, patience_ms, attempt_ms, deadline_ms, retry, attempts,
/// retry_delay_ms. Errors: invalid_argument.
Result<void> set_field(ClientKind& kind, std::string_view field, std::string_view value);

/// A kind as the command line has it: "tenant=shop,class=low,share=0.5". Errors: invalid_argument.
Result<ClientKind> parse_client_kind(std::string_view text);

/// The kinds of a file in TOML, a [[client]] each with the fields above.
/// Errors: invalid_argument with the line, not_found.
Result<std::vector<ClientKind>> read_mix(const std::string& path);

/// The place of the kind that a uniform number in [0, 1) falls to. There is at least one kind.
std::size_t choose_kind(const std::vector<ClientKind>& kinds, double uniform);

}  // namespace sluice::overload
