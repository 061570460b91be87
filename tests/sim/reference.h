// What an undisturbed run gives: the same plan through the same engine, alone and without faults.
#pragma once

#include "api/request.h"
#include "models/registry.h"

#include "trace/checker.h"
#include <boost/json.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice::sim {

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
  ///   dialect  of the model's device
  std::shared_ptr<const Expected> run(const CompletionRequest& request,
                                      const ModelCard& model,
                                      std::uint32_t dialect);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// What the checker compares with, once it is known which request has which number.
class SimReference final : public trace::Reference {
 public:
  void add(RequestNumber request, std::shared_ptr<const Expected> expected);
  [[nodiscard]] const std::vector<TokenId>* tokens(SequenceId sequence) const override;
  [[nodiscard]] const std::string* text(RequestNumber request, std::uint32_t choice) const override;
  [[nodiscard]] const Expected* find(RequestNumber request) const;

 private:
  std::map<RequestNumber, std::shared_ptr<const Expected>> requests_;
};

}  // namespace sluice::sim
