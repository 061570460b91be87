// Any bytes as a GGUF file: the reader and everything that reads what it has let through.
#include "base/utf8.h"
#include "models/checkpoint/gguf.h"
#include "models/checkpoint/gguf_config.h"
#include "models/checkpoint/gguf_vocabulary.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace sluice {
namespace {

/// An answer must be a sentence that a log and a wire can carry.
template <class T>
void expect_sentence(const Result<T>& result) {
  if (result) return;
  if (result.error().message.empty() || !is_valid_utf8(result.error().message)) std::abort();
}

void read(const Gguf& file) {
  for (const auto& [key, value] : file.keys())
    if (describe(value).empty()) std::abort();
  for (const GgufTensor& tensor : file.tensors()) {
    const BlockFormat& format = *tensor.format;
    std::size_t blocks = tensor.data.size() / format.bytes;
    std::vector<float> values(blocks * format.elements);
    decode_blocks(format.type, tensor.data.data(), values);
    auto wrong = find_not_finite(format.type, tensor.data.data(), blocks);
    if (wrong && *wrong >= blocks) std::abort();
  }
  expect_sentence(read_gguf_config(file));
  expect_sentence(read_gguf_vocabulary(file));
  expect_sentence(read_gguf_chat_template(file));
  hash_gguf_vocabulary(file);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto file = sluice::Gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "x.gguf");
  sluice::expect_sentence(file);
  if (file) sluice::read(*file);
  return 0;
}
