// The body of POST /v1/chat/completions.
#pragma once

#include "api/conversation.h"
#include "api/generation_reader.h"

#include <memory>
#include <string>

namespace sluice {

class ChatReader final : public GenerationReader {
 public:
  ChatReader(Value root, const RequestContext& context);

 private:
  void read_input() override;
  void read_max_tokens() override;
  void read_logprobs() override;

  std::shared_ptr<Conversation> conversation_;
};

}  // namespace sluice
