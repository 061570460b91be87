// One choice of a completion: accepts its tokens in order and says what of them may be shown.
#pragma once

#include "api/request.h"
#include "base/plan.h"
#include "engine/engine.h"
#include "models/tokenizer/tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice {

/// Finds stop strings in a text that arrives in pieces, and holds back what may become one.
class StopMatcher {
 public:
  /// `include`: the stop string itself stays in the text.
  StopMatcher(std::vector<std::string> stops, bool include);

  /// Appends a piece and returns what is certain now. After a match nothing more comes.
  std::string push(std::string_view piece);
  /// The text is over without a stop string: what was held back.
  std::string finish();
  /// The stop string that ended the text.
  [[nodiscard]] const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
  std::optional<std::string> matched_;
};

/// The state of one choice is a function of its plan and of the tokens accepted so far, so a
/// resumed sequence needs no more than those. Pure; owner: the session.
class Choice {
 public:
  struct Options {
    std::uint32_t index = 0;  ///< of the choice in the response
    /// Shown before the first token, with `echo`; shared by the choices of a prompt.
    std::shared_ptr<const std::string> echo_text;
    bool echo = false;
    /// The choice is a text of its own and does not go on from its prompt's.
    bool begins_text = false;
    std::vector<std::string> stop;
    bool include_stop = false;
    bool skip_special_tokens = true;
    bool token_ids = false;  ///< pieces name their tokens
  };

  /// What became of an output that was offered.
  enum class Verdict : std::uint8_t {
    accepted,
    duplicate,  ///< tokens that are known already; ignored
    gap,        ///< tokens are missing before it: the sender is faulty
  };

  Choice(Options options,
         std::shared_ptr<const Plan> plan,
         std::shared_ptr<const Tokenizer> tokenizer);

  /// Takes the output of one step. `delta` then holds what may be shown, if `has_delta`.
  /// An index beyond the tokens accepted so far is a gap; one below is a duplicate.
  Verdict accept(const SequenceOutput& output, ChoiceDelta& delta, bool& has_delta);

  /// Ends the choice from outside, as if it had reached its length (a deadline with partial answers
  /// allowed).
  void cut(std::string stop_reason, ChoiceDelta& delta);

  [[nodiscard]] bool finished() const { return finished_; }
  /// True if the choice ended here although the engine would go on (a stop string): the sequence
  /// has to be cancelled.
  [[nodiscard]] bool ended_early() const { return ended_early_; }
  /// Every token accepted, the stop token included.
  [[nodiscard]] const std::vector<TokenId>& emitted() const { return emitted_; }
  /// Prompt positions whose log probabilities are known.
  [[nodiscard]] std::uint32_t prompt_logprobs_known() const { return prompt_known_; }

 private:
  struct Entry {
    ChoiceDelta::Logprob logprob;
  };

  void name_tokens(ChoiceDelta& delta);
  void take_prompt_logprobs(const SequenceOutput& output);
  void push_prompt_entry(std::uint32_t position, const TokenLogprobs& logprobs);
  void take_token(const SequenceOutput& output, std::size_t i, std::string& text);
  ChoiceDelta::Logprob describe(TokenId id,
                                const TokenLogprobs& logprobs,
                                std::size_t offset) const;
  void show(std::string text, ChoiceDelta& delta);
  void finish(Finish why, std::string& text, ChoiceDelta& delta);

  Options options_;
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Detokenizer detokenizer_;
  Detokenizer prompt_detokenizer_;  ///< gives the offsets of the prompt's tokens
  StopMatcher stops_;
  std::vector<TokenId> emitted_;
  std::size_t named_ = 0;       ///< of `emitted_`: in pieces that were shown
  std::vector<Entry> waiting_;  ///< log probabilities of text that is not shown yet
  std::size_t decoded_ = 0;     ///< code points that came out of the detokenizer, echo included
  std::size_t shown_ = 0;       ///< code points shown, echo included
  std::uint32_t prompt_known_ = 0;
  std::size_t prompt_decoded_ = 0;  ///< code points of the prompt's tokens described so far
  bool echo_pending_ = false;
  bool finished_ = false;
  bool ended_early_ = false;
};

}  // namespace sluice
