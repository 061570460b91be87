// The body of POST /v1/completions.
#pragma once

#include "api/generation_reader.h"

namespace sluice {

class CompletionReader final : public GenerationReader {
 public:
  CompletionReader(Value root, const RequestContext& context)
      : GenerationReader(AnswerKind::completion, root, context) {}

 private:
  void read_input() override;
  /// The first member decides what all the others have to be.
  void read_prompt_array(Value array);
  void read_max_tokens() override;
  void read_choices() override;
  void read_logprobs() override;
  void read_own() override;
};

}  // namespace sluice
