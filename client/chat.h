// `sluice chat`: a conversation in the terminal with a server that speaks OpenAI's interface.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "client/chat_history.h"

#include <string>

namespace sluice {

struct ChatOptions {
  std::string url = "http://127.0.0.1:8000";  ///< with or without "/v1" behind it
  std::string system;                         ///< empty: none
  std::string api_key;                        ///< empty: none
  ChatSettings settings;                      ///< an empty model: the first that the server lists
  Duration stall_timeout = std::chrono::minutes(5);  ///< how long an answer may stand still
};

/// Talks by standard input and output until the input ends; what is not an answer goes to standard
/// error. Where the input is no terminal, all of it is one message. Errors: what cannot be gone on
/// from, in a sentence; at a terminal, a failed answer is shown and the conversation goes on.
/// cancelled: interrupted.
Result<void> chat(const ChatOptions& options);

/// The URL without "/v1" and slashes at its end. Errors: invalid_argument: not http or https.
Result<std::string> chat_base_url(const std::string& url);

}  // namespace sluice
