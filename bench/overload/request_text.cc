#include "bench/overload/request_text.h"

#include <array>
#include <charconv>

namespace sluice::overload {
namespace {

constexpr std::size_t kNumberChars = 16;

std::string milliseconds(Duration duration) {
  return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

RequestText::RequestText(const std::string& authority,
                         const std::string& path,
                         const std::string& model,
                         const std::vector<ClientKind>& kinds) {
  for (const ClientKind& kind : kinds) {
    Parts& parts = parts_.emplace_back();
    parts.head = "POST " + path + " HTTP/1.1\r\nHost: " + authority +
                 "\r\nContent-Type: application/json\r\n";
    if (!kind.key.empty()) parts.head += "Authorization: Bearer " + kind.key + "\r\n";
    if (kind.deadline > Duration(0))
      parts.head += "x-request-timeout-ms: " + milliseconds(kind.deadline) + "\r\n";
    parts.head += "Content-Length: ";
    // Seeds make answers equal, and without ignore_eos some would be shorter than was asked for.
    parts.fields = R"(","seed":1,"ignore_eos":true)";
    if (!model.empty()) parts.fields += R"(,"model":")" + model + '"';
    if (!kind.service_tier.empty())
      parts.fields += R"(,"service_tier":")" + kind.service_tier + '"';
    if (kind.stream) parts.fields += R"(,"stream":true)";
    parts.fields += R"(,"max_tokens":)";
  }
}

std::string_view RequestText::make(std::size_t kind,
                                   std::uint64_t number,
                                   std::uint32_t prompt_chars,
                                   std::uint32_t max_tokens) {
  constexpr std::string_view kBody = R"({"prompt":")";
  const Parts& parts = parts_[kind];
  std::array<char, kNumberChars> digits;
  digits.fill('0');
  std::array<char, kNumberChars> shortest;
  auto* end = std::to_chars(shortest.data(), shortest.data() + shortest.size(), number, 16).ptr;
  std::copy_backward(shortest.data(), end, digits.data() + digits.size());
  std::size_t filler = prompt_chars > kNumberChars ? prompt_chars - kNumberChars : 0;
  while (filler_.size() < filler)
    filler_ += "and so the river ran on to the sea, ";
  std::string tokens = std::to_string(max_tokens);

  text_ = parts.head;
  text_ += std::to_string(kBody.size() + kNumberChars + filler + parts.fields.size() +
                          tokens.size() + 1);
  text_ += "\r\n\r\n";
  text_ += kBody;
  text_.append(digits.data(), digits.size());
  text_.append(filler_, 0, filler);
  text_ += parts.fields;
  text_ += tokens;
  text_ += '}';
  return text_;
}

}  // namespace sluice::overload
