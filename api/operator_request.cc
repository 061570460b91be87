#include "api/operator_request.h"

#include "api/errors.h"
#include "api/json_tape.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kReasonBytesMax = 200;
constexpr std::int64_t kSecondsMax = 86'400;

}  // namespace

std::variant<OperatorRequest, ApiError> parse_operator_request(std::string_view body) {
  OperatorRequest request;
  if (body.empty()) return request;
  auto parsed = JsonTape::parse(body);
  if (auto* fault = std::get_if<JsonFault>(&parsed))
    return fault->encoding ? errors::invalid_utf8(fault->message)
                           : errors::invalid_json(fault->message);
  JsonTape::Value root = std::get<JsonTape>(parsed).root();
  if (!root.is(JsonKind::object)) return errors::invalid_json("The body is not an object.");
  for (JsonTape::Value field : root) {
    if (field.key() == "reason") {
      bool one_line = field.is(JsonKind::string) && !field.string().empty() &&
                      field.string().size() <= kReasonBytesMax &&
                      std::none_of(field.string().begin(), field.string().end(), [](char c) {
                        return static_cast<unsigned char>(c) < 0x20;
                      });
      if (!one_line)
        return errors::invalid_value("reason", "reason must be one line of 1 to 200 bytes.");
      request.reason = field.string();
    } else if (field.key() == "for_s") {
      if (!field.is(JsonKind::integer) || field.integer() < 1 || field.integer() > kSecondsMax)
        return errors::invalid_value("for_s", "for_s must be an integer from 1 to 86400.");
      request.lasts = std::chrono::seconds(field.integer());
    } else {
      return errors::unknown_parameter(std::string(field.key()));
    }
  }
  return request;
}

}  // namespace sluice
