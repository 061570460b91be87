// A chat completion on the way out: "chat.completion" objects, and the deltas of its stream.
#pragma once

#include "api/answer_format.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class ChatFormat final : public AnswerFormat {
 public:
  ChatFormat(const AnswerForm& form,
             Shape shape,
             std::string_view model,
             std::string_view fingerprint);

  /// The first piece of a choice brings the role, the last an event of its own for the reason of
  /// the end: clients measure the time to the first token by the first event with a choice, and
  /// some take the text only from events without a finish_reason.
  void append_piece(std::string& out, const ChoiceDelta& piece, const Usage& so_far) override;

 private:
  void append_choice(std::string& out, const ChoiceDelta& choice) const override;
  void append_delta(std::string& out,
                    const ChoiceDelta& piece,
                    std::string_view delta,
                    const Usage& so_far) const;

  std::vector<bool> begun_;  // by index: the role is out
};

}  // namespace sluice
