// How deep the parser of templates may go.
#pragma once

#include "models/template/failure.h"
#include "models/template/parser.h"

namespace sluice::jinja {

/// One level of nesting for as long as it lives.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > kDepthMax)
      parser_.fail_here("nests deeper than " + std::to_string(kDepthMax) + " levels");
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --parser_.depth_; }

 private:
  static constexpr int kDepthMax = 64;
  Parser& parser_;
};

}  // namespace sluice::jinja
