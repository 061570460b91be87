// Reads what all bodies that ask for text have in common: sampling, limits, streaming, class.
#pragma once

#include "api/body_fields.h"
#include "api/json_tape.h"
#include "api/openai.h"
#include "api/validate.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

/// Turns one body into one request; what is particular to an interface is its own class. Lives for
/// one call. The first field that fails wins, in the order of `BodyField`.
class GenerationReader {
 public:
  using Value = JsonTape::Value;

  GenerationReader(AnswerKind kind, Value root, const RequestContext& context)
      : kind_(kind), root_(root), context_(context) {}
  virtual ~GenerationReader() = default;

  std::variant<OpenAiRequest, ApiError> read();

 protected:
  using Field = FieldReader::Field;

  /// What the text goes on from.
  virtual void read_input() = 0;
  virtual void read_max_tokens() = 0;
  virtual void read_choices();
  virtual void read_logprobs() = 0;
  /// The fields that only this interface has, behind logit_bias.
  virtual void read_own() {}

  [[nodiscard]] Field field(BodyField name) const {
    return fields_[static_cast<std::size_t>(name)];
  }
  [[nodiscard]] const ApiLimits& limits() const { return context_.limits; }
  /// Notes a field that was not obeyed, for the answer's header.
  void ignore(std::string_view name);
  /// A client's name for a field, fit for a header and for one line of a message.
  static std::string shown_name(std::string_view name);
  /// "stop must have at most 4 entries, got 5".
  static std::string count_message(std::string_view name,
                                   std::string_view limits,
                                   std::size_t count);

  FieldReader reader_;
  OpenAiRequest request_;

 private:
  [[nodiscard]] bool strict() const { return context_.strict || context_.limits.strict_params; }
  std::optional<ApiError> sort_fields();
  void read_fields();
  void read_stream_options();
  void read_top_p();
  void read_repetition_penalty();
  void read_min_tokens();
  void read_stop_tokens();
  void read_truncate();
  void read_stop();
  void read_stop_string(const std::string& name, Value value);
  void read_logit_bias();
  void read_user();
  void read_class();
  void check_metadata();
  void check_response_format();
  void finish();

  AnswerKind kind_;
  Value root_;
  const RequestContext& context_;
  std::array<Field, kBodyFields> fields_;
  std::size_t ignored_ = 0;
};

}  // namespace sluice
