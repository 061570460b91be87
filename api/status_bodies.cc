#include "api/status_bodies.h"

#include "api/json_writer.h"

#include <utility>

namespace sluice {
namespace {

/// `"name":"text"` and what stands before the next one.
void append_text(std::string& out, std::string_view before, std::string_view text) {
  out += before;
  append_json_string(out, text);
}

template <class Number>
void append_number(std::string& out, std::string_view before, Number number) {
  out += before;
  append_json_int(out, number);
}

template <class Entries, class AppendOne>
void append_list(std::string& out,
                 std::string_view before,
                 const Entries& entries,
                 AppendOne append_one) {
  out += before;
  append_json_array(out, entries, append_one);
}

void append_model(std::string& out, const ListedModel& model) {
  append_text(out, R"({"id":)", model.id);
  append_number(out, R"(,"object":"model","created":)", model.created);
  append_number(out, R"(,"owned_by":"sluice","max_model_len":)", model.max_model_len);
  append_text(out, R"(,"root":)", model.root);
  append_list(out,
              R"(,"parent":null,"capabilities":)",
              model.capabilities,
              [&](const std::string& capability) { append_json_string(out, capability); });
  append_text(out, R"(,"state":)", model.state);
  out += '}';
}

}  // namespace

std::string models_body(std::span<const ListedModel> models) {
  std::string out;
  append_list(out, R"({"object":"list","data":)", models, [&](const ListedModel& model) {
    append_model(out, model);
  });
  out += '}';
  return out;
}

std::string model_body(const ListedModel& model) {
  std::string out;
  append_model(out, model);
  return out;
}

std::string health_body(const HealthInfo& health) {
  std::string out;
  append_text(out, R"({"status":)", health.stalled ? "stalled" : "ok");
  append_number(out, R"(,"uptime_s":)", health.uptime_s);
  append_list(out, R"(,"loops":)", health.loops, [&](const HealthInfo::Loop& loop) {
    append_text(out, R"({"name":)", loop.name);
    append_number(out, R"(,"lag_ms":)", loop.lag_ms);
    out += '}';
  });
  append_list(out, R"(,"engines":)", health.engines, [&](const HealthInfo::Engine& engine) {
    append_text(out, R"({"model":)", engine.model);
    append_number(out, R"(,"running":)", engine.running);
    append_number(out, R"(,"last_step_age_ms":)", engine.last_step_age_ms);
    out += '}';
  });
  out += '}';
  return out;
}

std::string ready_body(std::span<const std::string> reasons) {
  if (reasons.empty()) return R"({"status":"ready"})";
  std::string out;
  append_list(out, R"({"status":"not_ready","reasons":)", reasons, [&](const std::string& reason) {
    append_json_string(out, reason);
  });
  out += '}';
  return out;
}

std::string status_body(const ServerStatus& status) {
  std::string out = status.reasons.empty() ? R"({"ready":true)" : R"({"ready":false)";
  auto append_string = [&](const std::string& text) { append_json_string(out, text); };
  append_list(out, R"(,"reasons":)", status.reasons, append_string);
  out += status.draining ? R"(,"draining":true)" : R"(,"draining":false)";
  append_text(out, R"(,"version":)", status.version);
  append_list(out, R"(,"models":)", status.models, append_string);
  out += '}';
  return out;
}

std::string version_body(const VersionInfo& version) {
  std::string out;
  append_text(out, R"({"version":)", version.version);
  append_text(out, R"(,"git":)", version.git);
  append_text(out, R"(,"build":)", version.build);
  // What is spoken here and nothing else; each has its version under its name.
  append_text(out, R"(,"protocol":{"http":)", "1.1");
  append_text(out, R"(,"srp":)", "1.0");
  append_text(out, R"(},"compiler":)", version.compiler);
  append_list(out, R"(,"features":)", version.features, [&](const std::string& feature) {
    append_json_string(out, feature);
  });
  out += '}';
  return out;
}

std::string hidden_version_body(std::string_view version) {
  std::string out;
  append_text(out, R"({"version":)", version.substr(0, version.find('.')));
  out += '}';
  return out;
}

}  // namespace sluice
