#include "api/openai.h"

#include "api/completion_fields.h"
#include "api/errors.h"
#include "api/json_tape.h"
#include "api/validate.h"
#include "base/utf8.h"
#include "net/ascii.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace sluice {
namespace {

using Value = JsonTape::Value;

constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kStopBytesMax = 256;
constexpr std::size_t kStopTokensMax = 1024;
constexpr std::size_t kLogitBiasMax = 1024;
constexpr std::size_t kUserBytesMax = 512;
constexpr std::size_t kMetadataPairsMax = 16;
constexpr std::size_t kMetadataKeyMax = 64;
constexpr std::size_t kMetadataValueMax = 512;
constexpr std::size_t kIgnoredMax = 16;
constexpr std::size_t kIgnoredNameMax = 64;

/// Appends 128 random bits as 32 hexadecimal digits.
void append_hex128(std::string& out, Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random.next();
    for (int shift = 60; shift >= 0; shift -= 4)
      out += kHex[bits >> shift & 15];
  }
}

std::string indexed(std::string_view name, std::size_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

std::string count_message(std::string_view name, std::string_view limits, std::size_t count) {
  return std::string(name) + " must have " + std::string(limits) + ", got " + std::to_string(count);
}

/// Reads one deadline header into `shortest`.
std::optional<ApiError> read_timeout(std::string_view name,
                                     std::optional<std::string_view> text,
                                     std::optional<Duration>& shortest) {
  if (!text) return std::nullopt;
  std::int64_t ms = 0;
  auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), ms);
  bool whole = failure == std::errc() && end == text->data() + text->size();
  if (!whole || ms <= 0)
    return errors::invalid_header(name,
                                  std::string(name) +
                                      " must be a positive integer of milliseconds, got \"" +
                                      excerpt(*text, 40) + "\"");
  // A year of milliseconds is far above every limit and far below the range of a Duration.
  constexpr std::int64_t kYearMs = 365LL * 24 * 3600 * 1000;
  Duration timeout = std::chrono::milliseconds(std::min(ms, kYearMs));
  shortest = shortest ? std::min(*shortest, timeout) : timeout;
  return std::nullopt;
}

/// Turns one body into one request. Lives for one call.
class CompletionParser {
 public:
  CompletionParser(Value root, const RequestContext& context) : root_(root), context_(context) {}

  std::variant<CompletionRequest, ApiError> parse() {
    if (auto error = sort_fields()) return std::move(*error);
    read_fields();
    if (!reader_.ok()) return reader_.take_error();
    finish();
    return std::move(request_);
  }

 private:
  using Field = FieldReader::Field;

  [[nodiscard]] Field field(CompletionField name) const {
    return fields_[static_cast<std::size_t>(name)];
  }

  /// Every member of the body is known, known to be unsupported, or unknown.
  std::optional<ApiError> sort_fields() {
    for (Value member : root_) {
      const FieldRule* rule = find_field(member.key());
      if (!rule) {
        if (strict()) return errors::unknown_parameter(shown_name(member.key()));
        ignore(member.key());
      } else if (rule->use == FieldUse::read) {
        fields_[static_cast<std::size_t>(rule->field)] = member;
      } else if (!is_harmless(*rule, member)) {
        std::string name = excerpt(member.key());
        return errors::unsupported_parameter(
            name, name + " is not supported by this server, got " + describe(member));
      }
    }
    if (!strict()) return std::nullopt;
    auto options = field(CompletionField::stream_options);
    if (!options || !options->is(JsonKind::object)) return std::nullopt;
    for (Value member : *options) {
      std::string_view key = member.key();
      if (key != "include_usage" && key != "include_obfuscation" && key != "continuous_usage_stats")
        return errors::unknown_parameter("stream_options." + shown_name(key));
    }
    return std::nullopt;
  }

  /// Types and ranges, in the order of `CompletionField`.
  void read_fields() {
    using F = CompletionField;
    auto& r = request_;
    auto& sampling = r.sampling;
    std::string_view text;
    if (reader_.string("model", field(F::model), text)) r.model = std::string(text);
    read_prompts();
    read_max_tokens();
    reader_.narrow("n", field(F::n), IntRange{1, context_.limits.max_n}, r.n);
    read_best_of();
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
    read_stop_tokens();
    reader_.boolean("skip_special_tokens", field(F::skip_special_tokens), r.skip_special_tokens);
    reader_.boolean(
        "include_stop_str_in_output", field(F::include_stop_str_in_output), r.include_stop);
    read_truncate();
    std::int64_t seed = 0;
    if (reader_.integer("seed", field(F::seed), {}, seed)) r.seed = seed;
    read_stop();
    std::uint32_t logprobs = 0;
    IntRange logprobs_range{0, context_.limits.max_logprobs};
    if (reader_.narrow("logprobs", field(F::logprobs), logprobs_range, logprobs))
      r.logprobs = logprobs;
    reader_.boolean("echo", field(F::echo), r.echo);
    reader_.narrow(
        "presence_penalty", field(F::presence_penalty), {-2, 2}, sampling.presence_penalty);
    reader_.narrow(
        "frequency_penalty", field(F::frequency_penalty), {-2, 2}, sampling.frequency_penalty);
    read_logit_bias();
    read_suffix();
    read_user();
    read_class();
    check_metadata();
    check_response_format();
    reader_.narrow(
        "stream_interval", field(F::stream_interval), IntRange{1, kInt32Max}, r.stream_interval);
  }

  void read_prompts() {
    auto prompt = field(CompletionField::prompt);
    auto& prompts = request_.prompts;
    if (!reader_.ok()) return;
    if (!prompt || prompt->is(JsonKind::null)) {
      prompts.emplace_back(std::string());
    } else if (prompt->is(JsonKind::string)) {
      prompts.emplace_back(std::string(prompt->string()));
    } else if (!prompt->is(JsonKind::array)) {
      reader_.wrong("prompt",
                    "a string, an array of strings, an array of token ids or an array of arrays of "
                    "token ids",
                    *prompt);
    } else if (prompt->size() == 0) {
      reader_.refuse(errors::invalid_value("prompt", "prompt must not be an empty array"));
    } else {
      read_prompt_array(*prompt);
    }
  }

  /// The first member decides what all the others have to be.
  void read_prompt_array(Value array) {
    Value first = *array.begin();
    if (!first.is(JsonKind::string) && !first.is(JsonKind::array)) {
      if (!as_integer(first)) {
        reader_.wrong("prompt[0]", "a string, a token id or an array of token ids", first);
        return;
      }
      request_.prompts.emplace_back(read_token_ids("prompt", array));
      return;
    }
    if (array.size() > context_.limits.max_prompts) {
      std::string limits = "at most " + std::to_string(context_.limits.max_prompts) + " entries";
      reader_.refuse(
          errors::invalid_value("prompt", count_message("prompt", limits, array.size())));
      return;
    }
    request_.prompts.reserve(array.size());
    std::size_t index = 0;
    for (Value entry : array) {
      if (!reader_.ok()) return;
      if (entry.kind() != first.kind()) {
        std::string_view expected = first.is(JsonKind::string)
                                        ? "a string like the entries before it"
                                        : "an array of token ids like the entries before it";
        reader_.wrong(indexed("prompt", index), expected, entry);
      } else if (entry.is(JsonKind::string)) {
        request_.prompts.emplace_back(std::string(entry.string()));
      } else if (entry.size() == 0) {
        std::string name = indexed("prompt", index);
        reader_.refuse(errors::invalid_value(name, name + " must not be an empty array"));
      } else {
        request_.prompts.emplace_back(read_token_ids(indexed("prompt", index), entry));
      }
      ++index;
    }
  }

  std::vector<TokenId> read_token_ids(std::string_view name, Value array) {
    std::vector<TokenId> ids;
    ids.reserve(array.size());
    for (Value entry : array) {
      auto id = as_integer(entry);
      if (!id || *id < 0 || *id > kInt32Max) {
        reader_.wrong(indexed(name, ids.size()), "a token id, an integer of at least 0", entry);
        return ids;
      }
      ids.push_back(static_cast<TokenId>(*id));
    }
    return ids;
  }

  void read_max_tokens() {
    std::optional<std::uint32_t> alias;
    for (auto [name, value, out] :
         {std::tuple{"max_tokens", field(CompletionField::max_tokens), &request_.max_tokens},
          std::tuple{
              "max_completion_tokens", field(CompletionField::max_completion_tokens), &alias}}) {
      std::uint32_t tokens = 0;
      if (reader_.narrow(name, value, IntRange{0, kInt32Max}, tokens)) *out = tokens;
    }
    if (!alias || !reader_.ok()) return;
    if (request_.max_tokens && *request_.max_tokens != *alias) {
      reader_.refuse(errors::invalid_value(
          "max_completion_tokens",
          "max_completion_tokens (" + std::to_string(*alias) + ") and max_tokens (" +
              std::to_string(*request_.max_tokens) + ") are the same field and must be equal"));
    }
    request_.max_tokens = alias;
  }

  void read_best_of() {
    std::int64_t best_of = 1;
    if (!reader_.integer("best_of", field(CompletionField::best_of), {}, best_of)) return;
    if (best_of <= 1 || best_of == request_.n) return;
    reader_.refuse(errors::unsupported_value("best_of",
                                             "best_of must be equal to n (" +
                                                 std::to_string(request_.n) + ") or 1, got " +
                                                 std::to_string(best_of)));
  }

  void read_stream_options() {
    Value options;
    if (!reader_.object("stream_options", field(CompletionField::stream_options), options)) return;
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
        reader_.boolean("stream_options.include_usage", option, request_.include_usage);
      } else if (key == "include_obfuscation") {
        reader_.boolean("stream_options.include_obfuscation", option, ignored);
      } else if (key == "continuous_usage_stats") {
        reader_.boolean("stream_options.continuous_usage_stats", option, request_.continuous_usage);
      }
    }
  }

  void read_top_p() {
    auto& sampling = request_.sampling;
    if (!reader_.narrow("top_p", field(CompletionField::top_p), {0, 1}, sampling.top_p)) return;
    if (sampling.top_p > 0) return;
    // The smallest nucleus is the most likely token alone: greedy.
    sampling.top_p = 1;
    sampling.temperature = 0;
  }

  void read_repetition_penalty() {
    // The bounds beyond "greater than 0" keep logits finite in float.
    constexpr double kMax = 1e6;
    auto value = field(CompletionField::repetition_penalty);
    float& penalty = request_.sampling.repetition_penalty;
    if (reader_.narrow("repetition_penalty", value, {0, kMax, true}, penalty))
      penalty = std::max(penalty, static_cast<float>(1 / kMax));
  }

  void read_min_tokens() {
    auto& r = request_;
    auto value = field(CompletionField::min_tokens);
    if (!reader_.narrow("min_tokens", value, IntRange{0, kInt32Max}, r.min_tokens)) return;
    if (!r.max_tokens || r.min_tokens <= *r.max_tokens) return;
    reader_.refuse(errors::invalid_value("min_tokens",
                                         "min_tokens must be at most max_tokens (" +
                                             std::to_string(*r.max_tokens) + "), got " +
                                             std::to_string(r.min_tokens)));
  }

  void read_stop_tokens() {
    auto value = field(CompletionField::stop_token_ids);
    if (!reader_.ok() || !value || value->is(JsonKind::null) || value->is_empty()) return;
    if (!value->is(JsonKind::array)) {
      reader_.wrong("stop_token_ids", "an array of token ids", *value);
    } else if (value->size() > kStopTokensMax) {
      std::string limits = "at most " + std::to_string(kStopTokensMax) + " entries";
      reader_.refuse(errors::invalid_value("stop_token_ids",
                                           count_message("stop_token_ids", limits, value->size())));
    } else {
      request_.stop_token_ids = read_token_ids("stop_token_ids", *value);
    }
  }

  void read_truncate() {
    std::uint32_t tokens = 0;
    auto value = field(CompletionField::truncate_prompt_tokens);
    if (reader_.narrow("truncate_prompt_tokens", value, IntRange{1, kInt32Max}, tokens))
      request_.truncate_prompt_tokens = tokens;
  }

  void read_stop() {
    auto value = field(CompletionField::stop);
    if (!reader_.ok() || !value || value->is(JsonKind::null) || value->is_empty()) return;
    if (value->is(JsonKind::string)) {
      read_stop_string("stop", *value);
    } else if (!value->is(JsonKind::array)) {
      reader_.wrong("stop", "a string or an array of strings", *value);
    } else if (value->size() > context_.limits.max_stop) {
      std::string limits = "at most " + std::to_string(context_.limits.max_stop) + " entries";
      reader_.refuse(errors::invalid_value("stop", count_message("stop", limits, value->size())));
    } else {
      std::size_t index = 0;
      for (Value entry : *value)
        read_stop_string(indexed("stop", index++), entry);
    }
  }

  void read_stop_string(const std::string& name, Value value) {
    if (!value.is(JsonKind::string)) {
      reader_.wrong(name, "a string", value);
    } else if (value.string().empty() || value.string().size() > kStopBytesMax) {
      std::string limits = "1 to " + std::to_string(kStopBytesMax) + " bytes";
      reader_.refuse(
          errors::invalid_value(name, count_message(name, limits, value.string().size())));
    } else {
      request_.stop.emplace_back(value.string());
    }
  }

  void read_logit_bias() {
    Value biases;
    if (!reader_.object("logit_bias", field(CompletionField::logit_bias), biases)) return;
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

  void read_suffix() {
    std::string_view suffix;
    if (!reader_.string("suffix", field(CompletionField::suffix), suffix) || suffix.empty()) return;
    reader_.refuse(errors::unsupported_parameter(
        "suffix", "suffix is not supported: no model of this server fills text in"));
  }

  void read_user() {
    std::string_view user;
    if (!reader_.string("user", field(CompletionField::user), user)) return;
    if (user.size() > kUserBytesMax) {
      std::string limits = "at most " + std::to_string(kUserBytesMax) + " bytes";
      reader_.refuse(errors::invalid_value("user", count_message("user", limits, user.size())));
      return;
    }
    request_.user = std::string(user);
  }

  /// service_tier and priority → class; the lower of the two classes holds.
  void read_class() {
    auto& r = request_;
    const ClientRights& rights = context_.rights;
    std::string_view tier;
    bool has_tier = reader_.string("service_tier", field(CompletionField::service_tier), tier);
    constexpr std::string_view kTiers[] = {"auto", "default", "flex", "priority", "fast", "scale"};
    if (has_tier && std::find(std::begin(kTiers), std::end(kTiers), tier) == std::end(kTiers)) {
      reader_.wrong("service_tier",
                    "one of auto, default, flex, priority, fast, scale",
                    *field(CompletionField::service_tier));
    }
    bool has_priority =
        reader_.narrow("priority", field(CompletionField::priority), {-100, 100}, r.priority);
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
      r.service_tier = "flex";
    } else {
      // A tier is confirmed where it changes something, and only there.
      bool used = wants_priority && r.priority_class < rights.default_class;
      r.service_tier = used ? "priority" : "default";
    }
  }

  void check_metadata() {
    Value metadata;
    if (!reader_.object("metadata", field(CompletionField::metadata), metadata)) return;
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

  void check_response_format() {
    Value format;
    if (!reader_.object("response_format", field(CompletionField::response_format), format) ||
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

  void finish() {
    auto& r = request_;
    r.id.reserve(37);
    r.id = "cmpl-";
    append_hex128(r.id, *context_.random);
    r.request_id = context_.request_id;
    r.partial_ok = context_.partial_ok;
    r.created = context_.now_s;
  }

  [[nodiscard]] bool strict() const { return context_.strict || context_.limits.strict_params; }

  /// A client's name for a field, fit for a header and for one line of a message.
  static std::string shown_name(std::string_view name) {
    std::string shown(name.substr(0, kIgnoredNameMax));
    for (char& c : shown) {
      if (!ascii::is_alnum(c) && c != '-' && c != '.') c = '_';
    }
    return shown;
  }

  void ignore(std::string_view name) {
    if (ignored_ == kIgnoredMax) return;
    if (ignored_++ > 0) request_.ignored_params += ',';
    request_.ignored_params += shown_name(name);
  }

  Value root_;
  const RequestContext& context_;
  std::array<Field, kCompletionFields> fields_;
  FieldReader reader_;
  CompletionRequest request_;
  std::size_t ignored_ = 0;
};

}  // namespace

RequestContext RequestContext::of(const HttpRequest& request,
                                  std::string request_id,
                                  const ApiLimits& limits,
                                  const ClientRights& rights,
                                  std::int64_t now_s,
                                  Random& random) {
  RequestContext context;
  context.request_id = std::move(request_id);
  context.timeout_header = request.header("x-request-timeout-ms");
  context.envoy_timeout_header = request.header("x-envoy-expected-rq-timeout-ms");
  context.strict = request.header("x-sluice-strict") == "1";
  context.partial_ok = request.header("x-sluice-partial-ok") == "1";
  context.limits = limits;
  context.rights = rights;
  context.now_s = now_s;
  context.random = &random;
  return context;
}

std::string choose_request_id(std::optional<std::string_view> sent, Random& random) {
  constexpr std::size_t kMax = 128;
  auto allowed = [](char c) {
    return ascii::is_alnum(c) || std::string_view("._:@/+=-").find(c) != std::string_view::npos;
  };
  if (sent && !sent->empty() && sent->size() <= kMax &&
      std::all_of(sent->begin(), sent->end(), allowed))
    return std::string(*sent);
  std::string id = "req-";
  id.reserve(36);
  append_hex128(id, random);
  return id;
}

std::variant<CompletionRequest, ApiError> parse_completion(std::string_view body,
                                                           const RequestContext& context) {
  std::optional<Duration> wish;
  if (auto error = read_timeout("x-request-timeout-ms", context.timeout_header, wish))
    return std::move(*error);
  if (auto error =
          read_timeout("x-envoy-expected-rq-timeout-ms", context.envoy_timeout_header, wish))
    return std::move(*error);

  if (body.empty()) return errors::empty_body();
  auto parsed = JsonTape::parse(body);
  if (auto* fault = std::get_if<JsonFault>(&parsed)) {
    return fault->encoding ? errors::invalid_utf8(std::move(fault->message))
                           : errors::invalid_json(std::move(fault->message));
  }
  Value root = std::get<JsonTape>(parsed).root();
  if (!root.is(JsonKind::object))
    return errors::invalid_json("The body must be a JSON object, got " + describe(root) + ".");

  auto result = CompletionParser(root, context).parse();
  if (auto* request = std::get_if<CompletionRequest>(&result)) {
    const ApiLimits& limits = context.limits;
    request->timeout = std::min(wish.value_or(limits.default_timeout), limits.max_timeout);
    request->client_deadline = wish && *wish <= limits.max_timeout;
  }
  return result;
}

}  // namespace sluice
