// A row's bytes depend on that row alone: not on the batch, not on the number of threads. And the
// finders that say so are not blind.
#include "tests/kernels/invariance.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice {
namespace {

struct Size {
  std::int64_t n, k;
};

class Invariance : public LevelTest {
 protected:
  /// One set of kernels for each number of threads, made once.
  Kernels& kernels(std::uint32_t threads) {
    auto& entry = kernels_[threads];
    if (!entry) entry = std::make_unique<Kernels>(GetParam(), threads);
    return *entry;
  }

 private:
  std::array<std::unique_ptr<Kernels>, 9> kernels_;
};

TEST_P(Invariance, OfLinear) {
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (Size size : {Size{17, 33}, Size{3, 7}, Size{1, 1}, Size{36, 576}, Size{5, 1100}}) {
      SCOPED_TRACE(testing::Message() << to_string(type) << " " << size.n << "x" << size.k);
      Tensor weight = Tensor::random(type, {size.n, size.k}, 1);
      DType input_type = linear_input_type(type);
      Tensor bias = Tensor::random(input_type, {size.n}, 2);
      auto compute = [&](std::uint32_t threads, TensorView output, TensorView input) {
        Kernels& level = kernels(threads);
        ASSERT_TRUE(level.ops->linear(*level.stream, output, input, weight, bias, true));
      };

      EXPECT_EQ(find_neighbour_dependence(
                    [&](TensorView output, TensorView input) { compute(1, output, input); },
                    {input_type, size.k},
                    {DType::f32, size.n}),
                "");
      for (std::int64_t rows : {1, 6, 33})
        EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                    Tensor input = Tensor::random(input_type, {rows, size.k}, 3);
                    Tensor output = Tensor::random(DType::f32, {rows, size.n}, 4);
                    compute(threads, output, input);
                    return output.bytes();
                  }),
                  "");
    }
}

TEST_P(Invariance, OfRmsNorm) {
  for (std::int64_t width : {1, 31, 64, 577}) {
    Tensor weight = Tensor::random(DType::bf16, {width}, 1);
    for (DType type : {DType::f32, DType::bf16}) {
      auto compute = [&](std::uint32_t threads, TensorView output, TensorView input) {
        Kernels& level = kernels(threads);
        ASSERT_TRUE(level.ops->rms_norm(*level.stream, output, input, weight, 1e-6F));
      };

      EXPECT_EQ(find_neighbour_dependence(
                    [&](TensorView output, TensorView input) { compute(2, output, input); },
                    {DType::f32, width},
                    {type, width}),
                "");
      EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                  Tensor input = Tensor::random(DType::f32, {67, width}, 3);
                  Tensor output(type, {67, width});
                  compute(threads, output, input);
                  return output.bytes();
                }),
                "");
    }
  }
}

TEST_P(Invariance, OfAddRmsNorm) {
  for (std::int64_t width : {1, 31, 64, 577}) {
    Tensor weight = Tensor::random(DType::f32, {width}, 1);
    RowShape shape{DType::f32, width};
    auto compute = [&](std::uint32_t threads, TensorView output, TensorView input) {
      Kernels& level = kernels(threads);
      std::memset(output.data, 0x3E, output.bytes());  // what is there: 0.1858 in every place
      ASSERT_TRUE(level.ops->add_rms_norm(*level.stream, output, input, weight, 1e-6F));
    };

    EXPECT_EQ(
        find_neighbour_dependence(
            [&](TensorView output, TensorView input) { compute(2, output, input); }, shape, shape),
        "");
    EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                Tensor input = Tensor::random(DType::f32, {67, width}, 3);
                Tensor output(DType::f32, {67, width});
                compute(threads, output, input);
                return output.bytes();
              }),
              "");
  }
}

TEST_P(Invariance, OfEmbed) {
  constexpr std::int64_t kRows = 67;
  for (std::int64_t width : {1, 31, 576})
    for (DType type : {DType::f32, DType::bf16, DType::f16}) {
      Tensor table = Tensor::random(type, {kRows, width}, 1);
      std::vector<std::int32_t> order(kRows);
      std::iota(order.begin(), order.end(), 0);
      auto compute = [&](std::uint32_t threads, const std::vector<std::int32_t>& rows) {
        Kernels& level = kernels(threads);
        auto count = static_cast<std::int64_t>(rows.size());
        Tensor ids = Tensor::integers({count}, rows);
        Tensor output(DType::f32, {count, width});
        EXPECT_TRUE(level.ops->embed(*level.stream, output, table, ids, 8.9442719F));
        return output;
      };
      Tensor all = compute(1, order);
      for (std::int32_t row : {0, 33, 66})
        EXPECT_EQ(compute(1, {row}).bytes(), all.row_bytes(row)) << width;
      EXPECT_EQ(find_thread_dependence(
                    [&](std::uint32_t threads) { return compute(threads, order).bytes(); }),
                "");
    }
}

TEST_P(Invariance, OfGateMul) {
  for (Activation activation : {Activation::silu, Activation::gelu_tanh})
    for (std::int64_t width : {1, 31, 129, 600})
      for (DType type : {DType::f32, DType::bf16}) {
        // Gate and up are the same numbers here; what counts is where in a vector they fall.
        auto compute = [&](std::uint32_t threads, TensorView output, TensorView input) {
          Kernels& level = kernels(threads);
          ASSERT_TRUE(level.ops->gate_mul(*level.stream, output, input, input, activation));
        };

        EXPECT_EQ(find_neighbour_dependence(
                      [&](TensorView output, TensorView input) { compute(2, output, input); },
                      {DType::f32, width},
                      {type, width}),
                  "");
        EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                    Tensor input = Tensor::random(DType::f32, {33, width}, 3, 30);
                    Tensor output(type, {33, width});
                    compute(threads, output, input);
                    return output.bytes();
                  }),
                  "");
      }
}

TEST_P(Invariance, OfRope) {
  constexpr std::int64_t kHeads = 5;
  for (std::int64_t head_dim : {6, 64, 80}) {
    Tensor table = Tensor::random(DType::f32, {40, head_dim}, 1);
    auto compute = [&](std::uint32_t threads, TensorView output, TensorView input) {
      Kernels& level = kernels(threads);
      std::int64_t rows = input.dim(0);
      std::memcpy(output.data, input.data, input.bytes());
      Tensor positions =
          Tensor::integers({rows}, std::vector<std::int32_t>(static_cast<std::size_t>(rows), 39));
      TensorView heads(output.data, DType::f32, {rows, kHeads, head_dim});
      ASSERT_TRUE(level.ops->rope(*level.stream, heads, table, positions));
    };
    RowShape shape{DType::f32, kHeads * head_dim};

    EXPECT_EQ(
        find_neighbour_dependence(
            [&](TensorView output, TensorView input) { compute(2, output, input); }, shape, shape),
        "");
    EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                Tensor input = Tensor::random(DType::f32, {67, shape.width}, 3);
                Tensor output(DType::f32, {67, shape.width});
                compute(threads, output, input);
                return output.bytes();
              }),
              "");
  }
}

SLUICE_FOR_EACH_LEVEL(Invariance);

/// What must not be: the sum over k cut among threads.
float dot_cut_by_threads(const float* a, const float* b, std::int64_t k, std::uint32_t threads) {
  float sum = 0;
  for (std::uint32_t thread = 0; thread < threads; ++thread) {
    float part = 0;
    for (std::int64_t i = k * thread / threads; i < k * (thread + 1) / threads; ++i)
      part += a[i] * b[i];
    sum += part;
  }
  return sum;
}

TEST(InvarianceFinders, SeeASumThatIsCutAmongThreads) {
  Tensor input = Tensor::random(DType::f32, {4, 576}, 1);
  Tensor weight = Tensor::random(DType::f32, {1, 576}, 2);

  std::string found = find_thread_dependence([&](std::uint32_t threads) {
    Tensor output(DType::f32, {4, 1});
    for (std::int64_t row = 0; row < 4; ++row)
      output.set(
          row,
          dot_cut_by_threads(
              input.view().as<float>() + row * 576, weight.view().as<float>(), 576, threads));
    return output.bytes();
  });

  EXPECT_NE(found, "");
}

TEST(InvarianceFinders, SeeAnAlgorithmThatIsChosenByTheNumberOfRows) {
  Tensor weight = Tensor::random(DType::f32, {1, 576}, 2);
  auto compute = [&](TensorView output, TensorView input) {
    for (std::int64_t row = 0; row < input.dim(0); ++row)
      output.as<float>()[row] = dot_cut_by_threads(input.as<float>() + row * 576,
                                                   weight.view().as<float>(),
                                                   576,
                                                   input.dim(0) >= 32 ? 2 : 1);
  };

  std::string found = find_neighbour_dependence(compute, {DType::f32, 576}, {DType::f32, 1});

  EXPECT_EQ(found, "row 0 of 32 among random neighbours differs from the row alone");
}

TEST(InvarianceFinders, SeeANanThatLeaksFromANeighbour) {
  // Multiplying a neighbour by zero does not remove it.
  auto compute = [](TensorView output, TensorView input) {
    std::int64_t rows = input.dim(0);
    for (std::int64_t row = 0; row < rows; ++row)
      output.as<float>()[row] = input.as<float>()[row] + 0.0F * input.as<float>()[(row + 1) % rows];
  };

  std::string found = find_neighbour_dependence(compute, {DType::f32, 1}, {DType::f32, 1});

  EXPECT_EQ(found, "row 0 of 2 among nan neighbours differs from the row alone");
}

TEST(InvarianceFinders, SeeASumThatDependsOnWhoClaimedWhat) {
  constexpr std::uint32_t kNumbers = 1000;
  Tensor numbers = Tensor::random(DType::f32, {kNumbers}, 1);

  std::string found = find_claim_dependence([&](const ThreadPool::Options& options) {
    ThreadPool pool(options);
    std::vector<float> parts(options.threads);
    pool.share(kNumbers, 8, [&](Units units, std::uint32_t worker) {
      for (std::uint32_t i = units.begin; i < units.end; ++i)
        parts[worker] += numbers.view().as<float>()[i];
    });
    Tensor sum = Tensor::floats({1}, {std::accumulate(parts.begin(), parts.end(), 0.0F)});
    return sum.bytes();
  });

  EXPECT_NE(found, "");
}

TEST(InvarianceFinders, FindNothingWhereThereIsNothing) {
  auto negate = [](TensorView output, TensorView input) {
    for (std::int64_t i = 0; i < input.elements(); ++i)
      output.as<float>()[i] = -input.as<float>()[i];
  };

  EXPECT_EQ(find_neighbour_dependence(negate, {DType::f32, 3}, {DType::f32, 3}), "");
  EXPECT_EQ(find_thread_dependence([](std::uint32_t) { return std::vector<std::byte>(3); }), "");
  EXPECT_EQ(
      find_claim_dependence([](const ThreadPool::Options&) { return std::vector<std::byte>(3); }),
      "");
}

}  // namespace
}  // namespace sluice
