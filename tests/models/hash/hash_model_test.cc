#include "models/hash/hash_model.h"

#include "base/hash.h"
#include "kernels/ops.h"
#include "models/hash/hash_chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace sluice {
namespace {

std::vector<TokenId> some_tokens(std::size_t count, std::uint64_t seed) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<TokenId>(mix64(seed + i) % kHashVocabulary);
  return tokens;
}

/// Runs rows [first, first + count) of `tokens` and returns what follows the last one.
TokenId run(Model& model,
            const std::vector<TokenId>& tokens,
            std::size_t first,
            std::size_t count,
            const std::vector<std::int32_t>& blocks) {
  StepBatch batch;
  batch.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                      tokens.begin() + static_cast<std::ptrdiff_t>(first + count));
  batch.segments.push_back(
      {static_cast<std::int32_t>(first), static_cast<std::int32_t>(count), blocks});
  batch.logit_rows.push_back(static_cast<std::int32_t>(count) - 1);
  EXPECT_TRUE(model.launch(batch));
  auto logits = model.wait();
  EXPECT_TRUE(logits);
  EXPECT_EQ(logits->size(), static_cast<std::size_t>(kHashVocabulary));
  return static_cast<TokenId>(std::max_element(logits->begin(), logits->end()) - logits->begin());
}

std::vector<std::int32_t> blocks_in_order(std::int32_t count) {
  std::vector<std::int32_t> blocks(static_cast<std::size_t>(count));
  std::iota(blocks.begin(), blocks.end(), 0);
  return blocks;
}

TEST(HashModel, SaysWhatTheChainSaysAtEveryPosition) {
  auto model = make_hash_model();
  ASSERT_TRUE(model->allocate({64, 1, 1, 1}));
  std::vector<TokenId> tokens = some_tokens(1000, 1);
  HashChain chain;

  for (std::size_t i = 0; i < tokens.size(); ++i) {
    chain.push(tokens[i]);
    ASSERT_EQ(run(*model, tokens, i, 1, blocks_in_order(63)), chain.next()) << i;
  }
  EXPECT_EQ(hash_next_token(tokens), chain.next());
}

TEST(HashModel, SaysTheSameHoweverThePromptIsCut) {
  std::vector<TokenId> tokens = some_tokens(300, 2);
  TokenId expected = hash_next_token(tokens);

  for (std::size_t chunk : {1U, 2U, 15U, 16U, 17U, 64U, 299U, 300U}) {
    auto model = make_hash_model();
    ASSERT_TRUE(model->allocate({19, 300, 1, 1}));
    TokenId next = -1;
    for (std::size_t first = 0; first < tokens.size(); first += chunk)
      next =
          run(*model, tokens, first, std::min(chunk, tokens.size() - first), blocks_in_order(19));
    EXPECT_EQ(next, expected) << "chunks of " << chunk;
  }
}

TEST(HashModel, SaysTheSameInPermutedBlocks) {
  auto model = make_hash_model();
  ASSERT_TRUE(model->allocate({10, 100, 1, 1}));
  std::vector<TokenId> tokens = some_tokens(100, 3);

  TokenId next = run(*model, tokens, 0, 100, {9, 2, 7, 0, 5, 4, 1});

  EXPECT_EQ(next, hash_next_token(tokens));
}

TEST(HashModel, ShowsABlockThatAnotherSequenceWroteOver) {
  auto model = make_hash_model();
  ASSERT_TRUE(model->allocate({16, 256, 1, 1}));
  std::vector<TokenId> tokens = some_tokens(256, 4);
  HashChain chain;
  for (TokenId token : tokens)
    chain.push(token);
  run(*model, tokens, 0, 192, blocks_in_order(16));

  // The third block of the sequence is given to another one, as a broken scheduler would.
  run(*model, some_tokens(16, 5), 0, 16, {2});
  int wrong = 0;
  HashChain undisturbed(std::span<const TokenId>(tokens).first(192));
  for (std::size_t i = 192; i < tokens.size(); ++i) {
    undisturbed.push(tokens[i]);
    wrong += run(*model, tokens, i, 1, blocks_in_order(16)) != undisturbed.next();
  }

  EXPECT_GT(wrong, 32);
}

TEST(HashModel, KeepsTheSequencesOfAStepApart) {
  auto model = make_hash_model();
  ASSERT_TRUE(model->allocate({8, 64, 3, 3}));
  std::vector<std::vector<TokenId>> sequences = {
      some_tokens(20, 6), some_tokens(1, 7), some_tokens(33, 8)};
  std::vector<std::vector<std::int32_t>> blocks = {{0, 3}, {1}, {7, 2, 5}};
  StepBatch batch;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    batch.tokens.insert(batch.tokens.end(), sequences[i].begin(), sequences[i].end());
    batch.segments.push_back({0, static_cast<std::int32_t>(sequences[i].size()), blocks[i]});
    batch.logit_rows.push_back(static_cast<std::int32_t>(batch.tokens.size()) - 1);
  }

  ASSERT_TRUE(model->launch(batch));
  auto logits = model->wait();

  ASSERT_TRUE(logits);
  ASSERT_EQ(logits->size(), 3U * kHashVocabulary);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    auto row = logits->subspan(i * kHashVocabulary, kHashVocabulary);
    TokenId chosen = hash_next_token(sequences[i]);
    for (TokenId id = 0; id < kHashVocabulary; ++id)
      ASSERT_EQ(row[static_cast<std::size_t>(id)], id == chosen ? 0.0F : -1e9F);
  }
}

TEST(HashChain, PutsPrintableTextAndAnEndOnceInAboutFiveHundred) {
  HashChain chain(some_tokens(4, 9));
  int ends = 0;
  int letters = 0;

  constexpr int kTokens = 200'000;
  for (int i = 0; i < kTokens; ++i) {
    TokenId token = chain.advance();
    ASSERT_TRUE(token == kHashEos || (token >= ' ' && token <= '~')) << token;
    ends += token == kHashEos;
    letters += token >= 'a' && token <= 'z';
  }

  EXPECT_NEAR(ends, kTokens / 512, 100);
  EXPECT_GT(letters, kTokens * 3 / 4);
}

TEST(HashModel, TellsItsShape) {
  auto model = make_hash_model();

  EXPECT_EQ(model->info().architecture, "hash");
  EXPECT_EQ(model->info().vocabulary, 257);
  EXPECT_EQ(model->info().context, 1'048'576);
  EXPECT_EQ(model->info().kv_block_bytes, kBlockTokens * 8U);
}

}  // namespace
}  // namespace sluice
