#include "net/digest.h"

#include "base/check.h"

#include <openssl/evp.h>

#include <array>

namespace sluice {

struct ContentDigest::State {
  explicit State(const EVP_MD* kind) {
    CHECK(EVP_DigestInit_ex(context.get(), kind, nullptr) == 1);
  }

  struct Deleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Deleter> context{EVP_MD_CTX_new()};
};

ContentDigest::ContentDigest(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContentDigest::ContentDigest(ContentDigest&& other) noexcept = default;
ContentDigest& ContentDigest::operator=(ContentDigest&& other) noexcept = default;
ContentDigest::~ContentDigest() = default;

ContentDigest ContentDigest::sha256() {
  return ContentDigest(std::make_unique<State>(EVP_sha256()));
}

ContentDigest ContentDigest::git_blob(std::uint64_t size) {
  ContentDigest digest(std::make_unique<State>(EVP_sha1()));
  const std::string head = "blob " + std::to_string(size);
  digest.add({head.c_str(), head.size() + 1});  // with its NUL
  return digest;
}

void ContentDigest::add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string ContentDigest::hex() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size) == 1);
  std::string text;
  for (unsigned i = 0; i < size; ++i)
    text += {kDigits[digest[i] >> 4], kDigits[digest[i] & 15]};
  return text;
}

}  // namespace sluice
