#include "api/generation_reader.h"

#include "api/errors.h"
#include "base/utf8.h"
#include "net/ascii.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kStopBytesMax = 256;
constexpr std::size_t kStopTokensMax = 1024;
constexpr std::size_t kLogitBiasMax = 1024;
constexpr std::size_t kUserBytesMax = 512;
constexpr std::size_t kMetadataPairsMax = 16;
constexpr std::size_t kMetadataKeyMax = 64;
constexpr std::size_t kMetadataValueMax = 512;
constexpr std::size_t kIgnoredMax = 16;
constexpr std::size_t kIgnoredNameMax = 64;

}  // namespace

std::variant<OpenAiRequest, ApiError> GenerationReader::read() {
  if (auto error = sort_fields()) return std::move(*error);
  read_fields();
  if (!reader_.ok()) return reader_.take_error();
  finish();
  return std::move(request_);
}

/// Every member of the body is known, known to be unsupported, or unknown.
std::optional<ApiError> GenerationReader::sort_fields() {
  for (Value member : root_) {
    FieldRule rule = find_field(kind_, member.key());
    if (rule.use == FieldUse::unknown) {
      if (strict()) return errors::unknown_parameter(shown_name(member.key()));
      ignore(member.key());
    } else if (rule.use == FieldUse::read) {
      fields_[static_cast<std::size_t>(rule.field)] = member;
    } else if (!is_harmless(rule.use, member)) {
      std::string name = excerpt(member.key());
      return errors::unsupported_parameter(
          name, name + " is not supported by this server, got " + describe(member));
    }
  }
  if (!strict()) return std::nullopt;
  auto options = field(BodyField::stream_options);
  if (!options || !options->is(JsonKind::object)) return std::nullopt;
  for (Value member : *options) {
    std::string_view key = member.key();
    if (key != "include_usage" && key != "include_obfuscation" && key != "continuous_usage_stats")
      return errors::unknown_parameter("stream_options." + shown_name(key));
  }
  return std::nullopt;
}

/// Types and ranges, in the order of `BodyField`.
void GenerationReader::read_fields() {
  using F = BodyField;
  auto& r = request_;
  auto& sampling = r.sampling;
  std::string_view text;
  if (reader_.string("model", field(F::model), text)) r.model = std::string(text);
  read_input();
  read_max_tokens();
  read_choices();
  reader_.boolean("stream", field(F::stream), r.stream);
  read_stream_options();
  reader_.narrow("temperature", field(F::temperature), {0, 2}, sampling.temperature);
  read_top_p();
  if (reader_.narrow("top_k", field(F::top_k), IntRange{-1, kInt32Max}, sampling.top_k))
    sampling.top_k = std::max(sampling.top_k, 0);
  reader_.narrow("min_p", field(F::min_p), {0, 1}, sampling.min_p);
  if (reader_.narrow("typical_p", field(F::typical_p), {0, 1, true}, sampling.typical_p))
    sampling.typical_p = std::max(sampling.typical_p, std::numeric_limits<float>::min());
  read_repetition_penalty();
  read_min_tokens();
  reader_.boolean("ignore_eos", field(F::ignore_eos), r.ignore_eos);
  reader_.boolean("allow_degraded", field(F::allow_degraded), r.allow_degraded);
  read_stop_tokens();
  reader_.boolean("skip_special_tokens", field(F::skip_special_tokens), r.skip_special_tokens);
  reader_.boolean(
      "include_stop_str_in_output", field(F::include_stop_str_in_output), r.include_stop);
  read_truncate();
  std::int64_t seed = 0;
  if (reader_.integer("seed", field(F::seed), {}, seed)) r.seed = seed;
  read_stop();
  read_logprobs();
  reader_.narrow(
      "presence_penalty", field(F::presence_penalty), {-2, 2}, sampling.presence_penalty);
  reader_.narrow(
      "frequency_penalty", field(F::frequency_penalty), {-2, 2}, sampling.frequency_penalty);
  read_logit_bias();
  read_own();
  read_user();
  read_class();
  check_metadata();
  check_response_format();
  reader_.narrow(
      "stream_interval", field(F::stream_interval), IntRange{1, kInt32Max}, r.form.stream_interval);
}

void GenerationReader::read_choices() {
  reader_.narrow("n", field(BodyField::n), IntRange{1, limits().max_n}, request_.n);
}

void GenerationReader::read_stream_options() {
  Value options;
  if (!reader_.object("stream_options", field(BodyField::stream_options), options)) return;
  if (options.size() == 0) return;
  if (!request_.stream) {
    reader_.refuse(errors::invalid_value("stream_options",
                                         "stream_options is only allowed with stream: true"));
    return;
  }
  bool ignored = false;
  for (Value option : options) {
    std::string_view key = option.key();
    if (key == "include_usage") {
      reader_.boolean("stream_options.include_usage", option, request_.form.include_usage);
    } else if (key == "include_obfuscation") {
      reader_.boolean("stream_options.include_obfuscation", option, ignored);
    } else if (key == "continuous_usage_stats") {
      reader_.boolean(
          "stream_options.continuous_usage_stats", option, request_.form.continuous_usage);
    }
  }
}

void GenerationReader::read_top_p() {
  auto& sampling = request_.sampling;
  if (!reader_.narrow("top_p", field(BodyField::top_p), {0, 1}, sampling.top_p)) return;
  if (sampling.top_p > 0) return;
  // The smallest nucleus is the most likely token alone: greedy.
  sampling.top_p = 1;
  sampling.temperature = 0;
}

void GenerationReader::read_repetition_penalty() {
  // The bounds beyond "greater than 0" keep logits finite in float.
  constexpr double kMax = 1e6;
  auto value = field(BodyField::repetition_penalty);
  float& penalty = request_.sampling.repetition_penalty;
  if (reader_.narrow("repetition_penalty", value, {0, kMax, true}, penalty))
    penalty = std::max(penalty, static_cast<float>(1 / kMax));
}

void GenerationReader::read_min_tokens() {
  auto& r = request_;
  auto value = field(BodyField::min_tokens);
  if (!reader_.narrow("min_tokens", value, IntRange{0, kInt32Max}, r.min_tokens)) return;
  if (!r.max_tokens || r.min_tokens <= *r.max_tokens) return;
  reader_.refuse(errors::invalid_value("min_tokens",
                                       "min_tokens must be at most max_tokens (" +
                                           std::to_string(*r.max_tokens) + "), got " +
                                           std::to_string(r.min_tokens)));
}

void GenerationReader::read_stop_tokens() {
  auto value = field(BodyField::stop_token_ids);
  if (!reader_.ok() || !value || value->is(JsonKind::null) || value->is_empty()) return;
  if (!value->is(JsonKind::array)) {
    reader_.wrong("stop_token_ids", "an array of token ids", *value);
  } else if (value->size() > kStopTokensMax) {
    std::string limits = "at most " + std::to_string(kStopTokensMax) + " entries";
    reader_.refuse(errors::invalid_value("stop_token_ids",
                                         count_message("stop_token_ids", limits, value->size())));
  } else {
    request_.stop_token_ids = reader_.token_ids("stop_token_ids", *value);
  }
}

void GenerationReader::read_truncate() {
  std::uint32_t tokens = 0;
  auto value = field(BodyField::truncate_prompt_tokens);
  if (reader_.narrow("truncate_prompt_tokens", value, IntRange{1, kInt32Max}, tokens))
    request_.truncate_prompt_tokens = tokens;
}

void GenerationReader::read_stop() {
  auto value = field(BodyField::stop);
  if (!reader_.ok() || !value || value->is(JsonKind::null) || value->is_empty()) return;
  if (value->is(JsonKind::string)) {
    read_stop_string("stop", *value);
  } else if (!value->is(JsonKind::array)) {
    reader_.wrong("stop", "a string or an array of strings", *value);
  } else if (value->size() > limits().max_stop) {
    std::string range = "at most " + std::to_string(limits().max_stop) + " entries";
    reader_.refuse(errors::invalid_value("stop", count_message("stop", range, value->size())));
  } else {
    std::size_t index = 0;
    for (Value entry : *value)
      read_stop_string(indexed("stop", index++), entry);
  }
}

void GenerationReader::read_stop_string(const std::string& name, Value value) {
  if (!value.is(JsonKind::string)) {
    reader_.wrong(name, "a string", value);
  } else if (value.string().empty() || value.string().size() > kStopBytesMax) {
    std::string limits = "1 to " + std::to_string(kStopBytesMax) + " bytes";
    reader_.refuse(errors::invalid_value(name, count_message(name, limits, value.string().size())));
  } else {
    request_.stop.emplace_back(value.string());
  }
}

void GenerationReader::read_logit_bias() {
  Value biases;
  if (!reader_.object("logit_bias", field(BodyField::logit_bias), biases)) return;
  if (biases.size() > kLogitBiasMax) {
    std::string limits = "at most " + std::to_string(kLogitBiasMax) + " entries";
    reader_.refuse(
        errors::invalid_value("logit_bias", count_message("logit_bias", limits, biases.size())));
    return;
  }
  auto& out = request_.sampling.logit_bias;
  out.reserve(biases.size());
  for (Value bias : biases) {
    std::string_view key = bias.key();
    std::string name = "logit_bias." + shown_name(key);
    TokenId id = 0;
    auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    bool whole = failure == std::errc() && end == key.data() + key.size() && id >= 0;
    // "07" would be a second name of "7".
    if (!whole || (key.size() > 1 && (key[0] == '0' || key[0] == '-'))) {
      reader_.refuse(errors::invalid_value(
          name, "logit_bias must have token ids as keys, got \"" + shown_name(key) + "\""));
      return;
    }
    double value = 0;
    if (bias.is(JsonKind::null)) {
      reader_.wrong(name, "a number between -100 and 100", bias);
    } else if (reader_.number(name, bias, {-100, 100}, value)) {
      out.emplace_back(id, static_cast<float>(value));
    }
    if (!reader_.ok()) return;
  }
  std::sort(out.begin(), out.end());
}

void GenerationReader::read_user() {
  std::string_view user;
  if (!reader_.string("user", field(BodyField::user), user)) return;
  if (user.size() > kUserBytesMax) {
    std::string limits = "at most " + std::to_string(kUserBytesMax) + " bytes";
    reader_.refuse(errors::invalid_value("user", count_message("user", limits, user.size())));
    return;
  }
  request_.user = std::string(user);
}

/// service_tier and priority → class; the lower of the two classes holds.
void GenerationReader::read_class() {
  auto& r = request_;
  const ClientRights& rights = context_.rights;
  std::string_view tier;
  bool has_tier = reader_.string("service_tier", field(BodyField::service_tier), tier);
  constexpr std::string_view kTiers[] = {"auto", "default", "flex", "priority", "fast", "scale"};
  if (has_tier && std::find(std::begin(kTiers), std::end(kTiers), tier) == std::end(kTiers)) {
    reader_.wrong("service_tier",
                  "one of auto, default, flex, priority, fast, scale",
                  *field(BodyField::service_tier));
  }
  bool has_priority =
      reader_.narrow("priority", field(BodyField::priority), {-100, 100}, r.priority);
  if (!reader_.ok()) return;

  // Asked beyond the client's rights: its default, and the answer says so.
  auto granted = [&](PriorityClass wish, std::string_view name) {
    if (wish >= rights.max_class) return wish;
    ignore(name);
    return rights.default_class;
  };
  bool wants_priority = tier == "priority" || tier == "fast";
  auto by_tier = rights.default_class;
  if (wants_priority) by_tier = granted(PriorityClass::realtime, "service_tier");
  if (tier == "flex") by_tier = PriorityClass::low;
  auto by_priority = rights.default_class;
  if (r.priority < 0 && !rights.may_prioritize) {
    ignore("priority");
    r.priority = 0;
  } else if (r.priority < 0) {
    by_priority = granted(PriorityClass::realtime, "priority");
  } else if (r.priority > 0) {
    by_priority = PriorityClass::low;
  }
  r.priority_class = rights.default_class;
  if (has_tier) r.priority_class = by_tier;
  if (has_priority) r.priority_class = has_tier ? std::max(by_tier, by_priority) : by_priority;
  if (!has_tier) return;
  if (r.priority_class == PriorityClass::low) {
    r.form.service_tier = "flex";
  } else {
    // A tier is confirmed where it changes something, and only there.
    bool used = wants_priority && r.priority_class < rights.default_class;
    r.form.service_tier = used ? "priority" : "default";
  }
}

void GenerationReader::check_metadata() {
  Value metadata;
  if (!reader_.object("metadata", field(BodyField::metadata), metadata)) return;
  if (metadata.size() > kMetadataPairsMax) {
    std::string limits = "at most " + std::to_string(kMetadataPairsMax) + " pairs";
    reader_.refuse(
        errors::invalid_value("metadata", count_message("metadata", limits, metadata.size())));
  }
  for (Value pair : metadata) {
    if (!reader_.ok()) return;
    std::string name = "metadata." + shown_name(pair.key());
    if (std::size_t size = count_code_points(pair.key()); size > kMetadataKeyMax) {
      std::string limits = "keys of at most " + std::to_string(kMetadataKeyMax) + " characters";
      reader_.refuse(errors::invalid_value(name, count_message("metadata", limits, size)));
    } else if (!pair.is(JsonKind::string)) {
      reader_.wrong(name, "a string", pair);
    } else if (std::size_t size = count_code_points(pair.string()); size > kMetadataValueMax) {
      std::string limits = "at most " + std::to_string(kMetadataValueMax) + " characters";
      reader_.refuse(errors::invalid_value(name, count_message(name, limits, size)));
    }
  }
}

void GenerationReader::check_response_format() {
  Value format;
  if (!reader_.object("response_format", field(BodyField::response_format), format) ||
      format.size() == 0)
    return;
  constexpr char kName[] = "response_format.type";
  for (Value member : format) {
    if (member.key() != "type") continue;
    bool text = member.is(JsonKind::string);
    if (text && member.string() == "text") return;
    if (text && (member.string() == "json_object" || member.string() == "json_schema")) {
      reader_.refuse(
          errors::unsupported_value(kName,
                                    "response_format.type must be \"text\": constrained decoding "
                                    "is not supported, got " +
                                        describe(member)));
    } else {
      reader_.wrong(kName, "\"text\"", member);
    }
    return;
  }
  reader_.refuse(errors::invalid_value(kName, "response_format must have a type: \"text\""));
}

void GenerationReader::finish() {
  request_.request_id = context_.request_id;
  request_.partial_ok = context_.partial_ok;
  AnswerForm& form = request_.form;
  form.kind = kind_;
  form.id = kind_ == AnswerKind::chat ? "chatcmpl-" : "cmpl-";
  append_hex128(form.id, *context_.random);
  form.created = context_.now_s;
  form.logprobs = request_.logprobs.has_value();
}

void GenerationReader::ignore(std::string_view name) {
  if (ignored_ == kIgnoredMax) return;
  if (ignored_++ > 0) request_.form.ignored_params += ',';
  request_.form.ignored_params += shown_name(name);
}

std::string GenerationReader::shown_name(std::string_view name) {
  std::string shown(name.substr(0, kIgnoredNameMax));
  for (char& c : shown) {
    if (!ascii::is_alnum(c) && c != '-' && c != '.') c = '_';
  }
  return shown;
}

std::string GenerationReader::count_message(std::string_view name,
                                            std::string_view limits,
                                            std::size_t count) {
  return std::string(name) + " must have " + std::string(limits) + ", got " + std::to_string(count);
}

}  // namespace sluice
