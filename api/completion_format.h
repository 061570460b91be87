// A text completion on the way out: "text_completion" objects.
#pragma once

#include "api/answer_format.h"

#include <string>
#include <string_view>

namespace sluice {

class CompletionFormat final : public AnswerFormat {
 public:
  CompletionFormat(const AnswerForm& form,
                   Shape shape,
                   std::string_view model,
                   std::string_view fingerprint);
  void append_piece(std::string& out, const ChoiceDelta& piece, const Usage& so_far) override;

 private:
  void append_choice(std::string& out, const ChoiceDelta& choice) const override;
};

}  // namespace sluice
