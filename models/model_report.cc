#include "models/model_report.h"

#include "models/checkpoint/gguf_fields.h"
#include "models/checkpoint/model_files.h"
#include "models/decoder/decoder.h"
#include "models/registry.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 256;

/// What a GGUF file calls something; empty if it is no text.
std::string text_in(const Gguf& file, std::string_view key) {
  GgufFields fields(file);
  std::string text(fields.text(key, kNameBytesMax, ""));
  return fields.failed() ? std::string() : text;
}

std::string tokenizer_kind(const Gguf& file) {
  std::string kind = text_in(file, "tokenizer.ggml.model");
  std::string pre = text_in(file, "tokenizer.ggml.pre");
  return kind.empty() || pre.empty() ? kind : kind + ", pre-tokenizer " + pre;
}

void count_tensors(const Checkpoint& weights, ModelReport& report) {
  std::map<std::string, TensorCount> counts;
  for (const auto& [name, tensor] : weights.tensors()) {
    TensorCount& count = counts[tensor.type];
    count.type = tensor.type;
    ++count.tensors;
    count.bytes += tensor.size_bytes;
    std::uint64_t elements = 1;
    for (std::int64_t dimension : tensor.shape)  // its bytes are there, so no product wraps
      elements *= static_cast<std::uint64_t>(dimension);
    report.parameters += elements;
  }
  for (auto& [type, count] : counts)
    report.tensors.push_back(std::move(count));
  std::stable_sort(report.tensors.begin(), report.tensors.end(), [](const auto& a, const auto& b) {
    return a.bytes > b.bytes;
  });
}

void add_refusal(ModelReport& report, const Error& error) {
  auto& all = report.refusals;
  if (std::find(all.begin(), all.end(), error.message) == all.end()) all.push_back(error.message);
}

void report_weights(ModelReport& report, ModelFiles& files, const std::string& dtype) {
  Result<Checkpoint> weights = files.take_weights();
  if (!weights) return add_refusal(report, weights.error());
  report.file_bytes = weights->file_bytes();
  count_tensors(*weights, report);
  if (!report.config) return;
  Result<DecoderWeightsNeeds> needs = check_decoder_weights(*weights, *report.config, dtype);
  if (!needs) return add_refusal(report, needs.error());
  report.parameters = needs->parameters;
  report.kv_block_bytes = kv_block_bytes(*report.config, needs->storage);
  report.needs = *needs;
}

}  // namespace

Result<ModelReport> report_model(const std::string& path, const std::string& dtype) {
  Result<ModelFiles> files = ModelFiles::open(path);
  if (!files) return files.error();
  ModelReport report;
  report.path = files->path();
  report.format = "safetensors";
  report.tokenizer = "tokenizer.json";
  if (const Gguf* gguf = files->gguf()) {
    report.format = "GGUF version " + std::to_string(gguf->version());
    report.architecture = text_in(*gguf, "general.architecture");
    report.tokenizer = tokenizer_kind(*gguf);
  }
  Result<DecoderConfig> config = files->config();
  if (config) {
    report.architecture = config->architecture;
    report.config = std::move(*config);
  } else {
    add_refusal(report, config.error());
  }
  if (auto chat_template = files->chat_template()) report.chat_template = *chat_template;
  if (Result<ModelCard> card = load_model_card(path)) {
    report.tokens = card->tokenizer->vocabulary();
  } else {
    add_refusal(report, card.error());
  }
  report_weights(report, *files, dtype);
  return report;
}

}  // namespace sluice
