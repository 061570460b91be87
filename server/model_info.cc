#include "server/model_info.h"

#include "base/utf8.h"
#include "client/terminal_text.h"
#include "kernels/ops.h"
#include "server/model_paths.h"
#include "server/program.h"
#include "worker/start_up.h"
#include "worker/worker_main.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

/// "98,362,432".
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3)
    text.insert(at - 3, ",");
  return text;
}

/// "98,362,432 bytes (93.8 MiB)".
std::string in_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  constexpr double kStep = 1024;
  std::string text = grouped(bytes) + " bytes";
  if (bytes < 10 * 1024) return text;
  double size = static_cast<double>(bytes) / kStep;
  std::size_t unit = 0;
  for (; size >= kStep && unit + 1 < kUnits.size(); ++unit)
    size /= kStep;
  return text + fmt::format(" ({:.1f} {})", size, kUnits[unit]);
}

std::string rope_of(const RopeConfig& rope) {
  std::string text = fmt::format("base {:g}", rope.theta);
  if (!rope.divisors.empty()) return text + ", frequencies divided by a tensor";
  switch (rope.type) {
    case RopeConfig::Type::plain:
      return text;
    case RopeConfig::Type::linear:
      return text + fmt::format(", linear by {:g}", rope.factor);
    case RopeConfig::Type::llama3:
      return text + fmt::format(", llama3 by {:g}", rope.factor);
    case RopeConfig::Type::yarn:
      return text + fmt::format(", yarn by {:g}", rope.factor);
  }
  return text;
}

std::string template_of(const std::optional<std::string>& text) {
  if (!text) return "none";
  constexpr std::size_t kShown = 60;
  std::string line = text->substr(0, std::min(text->find('\n'), text->size()));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return in_bytes(text->size()) + ": " + excerpt(line, kShown);
}

}  // namespace

std::string format_model_info(const ModelReport& report, const ModelInfoOptions& options) {
  std::string page;
  auto line = [&page](std::string_view name, const std::string& value) {
    page += fmt::format("{:14} {}\n", name, value);
  };
  line("model", report.path);
  line("format",
       report.format + (report.file_bytes == 0 ? "" : ", " + in_bytes(report.file_bytes)));
  if (!report.architecture.empty()) line("architecture", report.architecture);
  if (report.parameters != 0) line("parameters", grouped(report.parameters));
  if (const auto& config = report.config) {
    line("layers", std::to_string(config->layers));
    line("width", fmt::format("{}, feed-forward {}", config->width, config->feed_forward_width));
    line("heads",
         fmt::format(
             "{} of {}, keys and values {}", config->heads, config->head_dim, config->kv_heads));
    line("context", grouped(static_cast<std::uint64_t>(config->context)));
    line("rope", rope_of(config->rope));
    line("vocabulary",
         grouped(static_cast<std::uint64_t>(config->vocabulary)) +
             (config->tied_embeddings ? ", head tied to the embedding" : ", head of its own"));
  }
  for (const TensorCount& count : report.tensors)
    line(&count == report.tensors.data() ? "tensors" : "",
         fmt::format("{} {}, {}", count.tensors, count.type, in_bytes(count.bytes)));
  std::string tokens = report.tokens == 0
                           ? ""
                           : ", " + grouped(static_cast<std::uint64_t>(report.tokens)) + " tokens";
  line("tokenizer", (report.tokenizer.empty() ? "none" : report.tokenizer) + tokens);
  line("chat template", template_of(report.chat_template));
  if (report.needs && report.config) {
    line("weights",
         fmt::format("as {}; a step reads {}",
                     to_string(report.needs->storage),
                     in_bytes(report.needs->weight_bytes)));
    line("memory",
         in_bytes(report.needs->copied_bytes) + " of each worker's own, the rest is the file's");
    ModelInfo model;
    model.context = report.config->context;
    model.kv_block_bytes = report.kv_block_bytes;
    auto sequences = static_cast<std::int32_t>(options.sequences_max);
    auto blocks =
        static_cast<std::uint64_t>(plan_blocks(model, sequences, WorkerOptions().kv_bytes_max));
    bool is_limited = std::cmp_less(blocks, plan_blocks(model, sequences, UINT64_MAX));
    line("KV cache",
         fmt::format(
             "{} a token; {} sequences: {}{}",
             in_bytes(report.kv_block_bytes / kBlockTokens),
             options.sequences_max,
             in_bytes(blocks * report.kv_block_bytes),
             is_limited
                 ? fmt::format(" for {} tokens, which is all that --kv-memory allows by default",
                               grouped(blocks * kBlockTokens))
                 : ""));
  }
  if (report.refusals.empty()) line("can be served", "yes");
  for (const std::string& reason : report.refusals)
    line("can be served", "no: " + reason);
  return page;
}

int run_model_info(const ModelInfoOptions& options) {
  Result<std::string> path = options.path;
  if (options.path.empty()) path = shipped_model(program_path());
  Result<ModelReport> report =
      path ? report_model(*path, options.dtype) : Result<ModelReport>(path.error());
  if (!report) {
    fmt::print(stderr, "sluice: {}\n", shown_text(report.error().message));
    return static_cast<int>(ExitCode::load_failed);
  }
  fmt::print("{}", shown_text(format_model_info(*report, options)));
  return static_cast<int>(report->refusals.empty() ? ExitCode::success : ExitCode::load_failed);
}

}  // namespace sluice
