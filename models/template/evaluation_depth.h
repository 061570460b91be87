// How deep the evaluation of templates may go.
#pragma once

#include "models/template/evaluator.h"
#include "models/template/failure.h"

#include <string>

namespace sluice::jinja {

/// One level of evaluation for as long as it lives. The bound keeps the stack far from its end:
/// a level takes less than a KiB of it.
class Evaluator::Depth {
 public:
  explicit Depth(Evaluator& evaluator) : depth_(evaluator.depth_) {
    if (++depth_ > kDepthMax) {
      --depth_;
      fail_bound("evaluation nests deeper than " + std::to_string(kDepthMax) + " levels");
    }
  }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --depth_; }

 private:
  static constexpr int kDepthMax = 1000;
  int& depth_;
};

}  // namespace sluice::jinja
