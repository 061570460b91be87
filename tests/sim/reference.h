// What an undisturbed run gives: the same plan through the same engine, alone and without faults.
#pragma once

#include "api/openai.h"
#include "models/registry.h"
#include "trace/checker.h"

#include <boost/json.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::sim {

/// A choice of either interface as one of text completions: what it says stands under "text".
boost::json::object as_text_choice(const boost::json::object& choice);

/// All that a client may be given.
struct Expected {
  std::vector<std::vector<TokenId>> tokens;  ///< that the session takes, by choice
  std::vector<std::string> texts;            ///< by choice
  boost::json::array choices;                ///< of the answer's body
  std::uint64_t completion_tokens = 0;
};

/// Runs plans undisturbed. Keeps its engines over runs. One thread.
class Undisturbed {
 public:
  Undisturbed();
  ~Undisturbed();
  /// The request must be one that is not refused, with a seed of its own.
  ///   dialect, weights  as of `make_sim_device`
  std::shared_ptr<const Expected> run(const OpenAiRequest& request,
                                      const ModelCard& model,
                                      std::uint32_t dialect,
                                      std::uint64_t weights);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// What one request gives on whichever weights answer it; each is computed when it is first asked
/// for.
class Expectations {
 public:
  Expectations(Undisturbed& undisturbed,
               OpenAiRequest request,
               const ModelCard& model,
               std::uint32_t dialect)
      : undisturbed_(undisturbed), request_(std::move(request)), model_(model), dialect_(dialect) {}

  /// By their number.
  const Expected& of(std::uint64_t weights);
  /// By their fingerprint, or what clients see of it; null: there are no such weights.
  const Expected* of_fingerprint(std::uint64_t fingerprint);
  const Expected* of_text(std::string_view fingerprint);

 private:
  Undisturbed& undisturbed_;
  OpenAiRequest request_;
  const ModelCard& model_;
  std::uint32_t dialect_;
  std::map<std::uint64_t, std::shared_ptr<const Expected>> known_;
};

/// What the checker compares with, once it is known which request has which number.
class SimReference final : public trace::Reference {
 public:
  void add(RequestNumber request, std::shared_ptr<Expectations> expected);
  [[nodiscard]] const std::vector<TokenId>* tokens(SequenceId sequence,
                                                   std::uint64_t weights) const override;
  [[nodiscard]] const std::string* text(RequestNumber request,
                                        std::uint32_t choice,
                                        std::uint64_t weights) const override;
  /// Its number of sequences; 0: not known.
  [[nodiscard]] std::size_t sequences(RequestNumber request) const;

 private:
  std::map<RequestNumber, std::shared_ptr<Expectations>> requests_;
};

}  // namespace sluice::sim
