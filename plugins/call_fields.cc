#include "plugins/call_fields.h"

#include "base/priority_class.h"
#include "base/utf8.h"
#include "plugins/manifest.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice {
namespace {

constexpr std::uint32_t kAdmission = hook_bit(Hook::admission);
constexpr std::uint32_t kPreprocess = hook_bit(Hook::preprocess);
constexpr std::uint32_t kRoute = hook_bit(Hook::route);
constexpr std::uint32_t kOutput = hook_bit(Hook::output);
constexpr std::uint32_t kPostprocess = hook_bit(Hook::postprocess);
constexpr std::uint32_t kExecute = hook_bit(Hook::execute);
constexpr std::uint32_t kCalls =
    kAdmission | kPreprocess | kRoute | kOutput | kPostprocess | kExecute;

constexpr std::array<CallKeyRule, 20> kRules{{
    {"model", CallForm::name, kNoPermission, kCalls, kRoute},
    {"user", CallForm::text, kNoPermission, kCalls, 0},
    {"tenant", CallForm::name, kNoPermission, kCalls, 0},
    {"class", CallForm::priority_class, kNoPermission, kCalls, kAdmission},
    {"deadline_ms", CallForm::integer, kNoPermission, kCalls, 0},
    {"tokens_est", CallForm::integer, kNoPermission, kCalls, 0},
    {"stream", CallForm::boolean, kNoPermission, kCalls, 0},
    {"request_id", CallForm::name, kNoPermission, kCalls, 0},
    {"header.", CallForm::text, kHeadersPermission, kCalls, 0},
    {"prompt", CallForm::text, kPromptPermission, kCalls, kPreprocess},
    {"messages_json", CallForm::text, kPromptPermission, kCalls, kPreprocess},
    {"params_json", CallForm::text, kPromptPermission, kCalls, kPreprocess},
    {"input", CallForm::bytes, kPromptPermission, kExecute, 0},
    {"text", CallForm::text, kOutputPermission, kOutput | kPostprocess, kOutput | kPostprocess},
    {"cost", CallForm::integer, kNoPermission, 0, kAdmission},
    {"worker", CallForm::name, kNoPermission, 0, kRoute},
    {"stop", CallForm::boolean, kNoPermission, 0, kOutput},
    {"detail", CallForm::text, kNoPermission, 0, kCalls},
    {"code", CallForm::word, kNoPermission, 0, kCalls},
    {"retry_after_ms", CallForm::integer, kNoPermission, 0, kCalls},
}};

bool is_integer(std::string_view value) {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  return error == std::errc() && end == value.data() + value.size() && number <= INT64_MAX;
}

bool is_word(std::string_view value) {
  constexpr std::size_t kWordBytesMax = 64;
  return !value.empty() && value.size() <= kWordBytesMax &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool is_name(std::string_view value) {
  constexpr std::size_t kNameBytesMax = 256;
  return !value.empty() && value.size() <= kNameBytesMax &&
         std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

bool is_failure_code(CallKey key) {
  return key == CallKey::code || key == CallKey::retry_after_ms;
}

}  // namespace

const CallKeyRule& rule_of(CallKey key) {
  return kRules[static_cast<std::size_t>(key)];
}

std::optional<CallKey> find_call_key(std::string_view name) {
  for (std::size_t i = 0; i < kRules.size(); ++i)
    if (kRules[i].name == name && static_cast<CallKey>(i) != CallKey::header)
      return static_cast<CallKey>(i);
  std::string_view prefix = rule_of(CallKey::header).name;
  if (name.size() > prefix.size() && name.starts_with(prefix)) return CallKey::header;
  return std::nullopt;
}

bool has_form(CallForm form, std::string_view value) {
  switch (form) {
    case CallForm::text:
      return is_valid_utf8(value);
    case CallForm::bytes:
      return true;
    case CallForm::name:
      return is_name(value);
    case CallForm::integer:
      return is_integer(value);
    case CallForm::boolean:
      return value == "true" || value == "false";
    case CallForm::priority_class:
      return parse_priority_class(value).has_value();
    case CallForm::word:
      return is_word(value);
  }
  return false;
}

CallFields::CallFields(std::initializer_list<std::pair<CallKey, std::string_view>> fields) {
  fields_.reserve(fields.size());
  for (const auto& [key, value] : fields)
    set(key, std::string(value));
}

void CallFields::set(CallKey key, std::string value) {
  for (CallField& field : fields_) {
    if (field.key != key) continue;
    field.value = std::move(value);
    return;
  }
  fields_.push_back({key, {}, std::move(value)});
}

void CallFields::set_header(std::string name, std::string value) {
  for (CallField& field : fields_) {
    if (field.key != CallKey::header || field.header != name) continue;
    field.value = std::move(value);
    return;
  }
  fields_.push_back({CallKey::header, std::move(name), std::move(value)});
}

const std::string* CallFields::find(CallKey key, std::string_view header) const {
  for (const CallField& field : fields_)
    if (field.key == key && field.header == header) return &field.value;
  return nullptr;
}

std::string_view CallFields::get(CallKey key) const {
  const std::string* value = find(key);
  return value ? std::string_view(*value) : std::string_view();
}

void CallFields::drop_failure() {
  std::erase_if(fields_, [](const CallField& field) {
    return field.key == CallKey::detail || is_failure_code(field.key);
  });
}

void CallFields::keep_failure_code() {
  std::erase_if(fields_, [](const CallField& field) { return !is_failure_code(field.key); });
}

}  // namespace sluice
