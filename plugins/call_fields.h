// The fields of a call by key: their forms, which permission they need, which hooks may write them.
#pragma once

#include "plugins/hook.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// The keys of `call_get` and `call_set` (plugins/sdk/sluice/plugin.h has the table for authors).
enum class CallKey : std::uint8_t {
  model,
  user,
  tenant,
  priority_class,  ///< "class"
  deadline_ms,
  tokens_est,
  stream,
  request_id,
  header,  ///< "header.<name>"
  prompt,
  messages_json,
  params_json,
  input,
  text,
  cost,
  worker,
  stop,
  detail,
  code,
  retry_after_ms,
};

/// What a value has to look like.
enum class CallForm : std::uint8_t { text, bytes, name, integer, boolean, priority_class, word };

struct CallKeyRule {
  std::string_view name;
  CallForm form;
  std::uint8_t permission;  ///< bits of `PluginPermission`, all needed to read and to write
  std::uint32_t readers;    ///< bits of `Hook`
  std::uint32_t writers;    ///< bits of `Hook`
};

const CallKeyRule& rule_of(CallKey key);

/// The key of that name; of "header.accept" it is `header`.
std::optional<CallKey> find_call_key(std::string_view name);

/// Whether a value has its key's form.
bool has_form(CallForm form, std::string_view value);

/// One field of a call, or one that an answer changes.
struct CallField {
  CallKey key = CallKey::model;
  std::string header;  ///< lower-case name, of `CallKey::header` only
  std::string value;

  friend bool operator==(const CallField&, const CallField&) = default;
};

/// The fields of one call; a handful, so that a search by looking is the fastest.
class CallFields {
 public:
  CallFields() = default;
  CallFields(std::initializer_list<std::pair<CallKey, std::string_view>> fields);

  /// Sets a field, replacing what it had.
  void set(CallKey key, std::string value);
  void set_header(std::string name, std::string value);
  [[nodiscard]] const std::string* find(CallKey key, std::string_view header = {}) const;
  /// The value, or nothing: "".
  [[nodiscard]] std::string_view get(CallKey key) const;

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] const std::vector<CallField>& all() const { return fields_; }
  /// Drops what says why a call failed: detail, code and retry_after_ms.
  void drop_failure();
  /// Drops everything but code and retry_after_ms.
  void keep_failure_code();
  void clear() { fields_.clear(); }

  friend bool operator==(const CallFields&, const CallFields&) = default;

 private:
  std::vector<CallField> fields_;
};

}  // namespace sluice
