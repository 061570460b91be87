// The bytes of a request, put together from parts that are made once.
#pragma once

#include "bench/overload/client_kind.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::overload {

/// Writes requests for completions into one buffer, over and over. Not thread-safe.
class RequestText {
 public:
  ///   authority  of the server, as its address and port are written in URLs
  RequestText(const std::string& authority,
              const std::string& path,
              const std::string& model,
              const std::vector<ClientKind>& kinds);

  /// The request, valid until the next call.
  ///   number  of the request: its prompt begins with it, so that no two prompts are equal
  std::string_view make(std::size_t kind,
                        std::uint64_t number,
                        std::uint32_t prompt_chars,
                        std::uint32_t max_tokens);

 private:
  /// What of a request is the same for all of a kind.
  struct Parts {
    std::string head;    // up to the value of Content-Length
    std::string fields;  // of the body, behind the prompt
  };
  std::vector<Parts> parts_;
  std::string filler_;
  std::string text_;
};

}  // namespace sluice::overload
