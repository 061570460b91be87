// How fast the operations of the CPU are, beside the ceilings of the same run.
//
//   kernels_bench [--level auto] [--threads 2] [--rounds 3]
//
// Measures with one thread and with --threads of them. Lines: name value unit ceiling ratio best;
// value, ceiling and ratio are medians over alternating rounds, best is the best value. The ceiling
// of a decode is the read bandwidth with the same threads, measured before and after it; if the two
// differ by more than 15 %, the block is marked noisy. Prefill has no ceiling of its own here but
// the best product of the run.
#include "bench/bandwidth.h"
#include "gpu/host_device.h"
#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace sluice::bench {
namespace {

struct Shape {
  std::int64_t n, k;
};
constexpr Shape kShapes[] = {{576, 576}, {1536, 576}, {576, 1536}, {49152, 576}};
constexpr std::int64_t kPrefillRows[] = {16, 64, 128};
constexpr std::int64_t kPrefillRowsMax = 128;
/// Weights of one decode measurement: far more than the caches hold.
constexpr std::int64_t kWorkingSetBytes = std::int64_t{384} << 20;

/// One thread count with its operations and its probe's pool, on the same cores.
struct Machine {
  explicit Machine(Device& device, const std::string& level, std::uint32_t threads)
      : pool(threads), stream(*device.make_stream()) {
    auto made = make_ops(device, level, threads);
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().message.c_str());
      std::exit(1);
    }
    ops = std::move(*made);
  }
  ThreadPool pool;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Ops> ops;
};

/// Fills with bf16 numbers in about [-1, 1); as halves they are below 2, and as floats finite.
void fill(void* to, std::int64_t count) {
  auto* numbers = static_cast<std::uint16_t*>(to);
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    numbers[i] = static_cast<std::uint16_t>(0x3F00 | (state >> 9 & 0x80FF));
  }
}

void check(const Result<void>& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

struct Series {
  std::vector<double> values, before, after;
};

void print(const std::string& name, const Series& series, double unit, const char* unit_name) {
  bool noisy = false;
  std::vector<double> ceilings;
  for (std::size_t i = 0; i < series.before.size(); ++i) {
    double high = std::max(series.before[i], series.after[i]);
    noisy = noisy || std::abs(series.before[i] - series.after[i]) > 0.15 * high;
    ceilings.push_back(high);
  }
  double value = median(series.values);
  double best = *std::max_element(series.values.begin(), series.values.end());
  std::printf("%-36s %8.2f %s", name.c_str(), value / unit, unit_name);
  if (ceilings.empty()) {
    std::printf(" - -");
  } else {
    double ceiling = median(ceilings);
    std::printf(" %.2f %.3f", ceiling / unit, value / ceiling);
  }
  std::printf(" %.2f%s\n", best / unit, noisy ? " noisy" : "");
  std::fflush(stdout);
}

class KernelsBench {
 public:
  KernelsBench(const std::string& level, std::uint32_t threads_max, int rounds) : rounds_(rounds) {
    for (std::uint32_t threads = 1; threads <= threads_max;
         threads += std::max(1U, threads_max - 1))
      machines_.push_back(std::make_unique<Machine>(device_, level, threads));
    weights_ = *device_.allocate(static_cast<std::size_t>(kWorkingSetBytes));
    input_ = *device_.allocate(static_cast<std::size_t>(kPrefillRowsMax * 1536 * 4));
    output_ = *device_.allocate(static_cast<std::size_t>(kPrefillRowsMax * 49152 * 4));
    fill(weights_->data(), kWorkingSetBytes / 2);
    fill(input_->data(), kPrefillRowsMax * 1536 * 2);
    std::printf("level %s\n", std::string(machines_[0]->ops->level()).c_str());
  }

  void run() {
    bandwidth();
    for (Shape shape : kShapes)
      for (DType type : {DType::bf16, DType::f16})
        decode(shape, type);
    for (Shape shape : kShapes)
      for (std::int64_t rows : kPrefillRows)
        prefill(shape, rows);
    mixed();
  }

 private:
  double ceiling(Machine& machine) {
    return std::max(probe_.measure(machine.pool, 1), probe_.measure(machine.pool, 4));
  }

  void bandwidth() {
    for (auto& machine : machines_)
      for (int streams : {1, 4}) {
        Series series;
        for (int round = 0; round < rounds_; ++round)
          series.values.push_back(probe_.measure(machine->pool, streams));
        print("read, " + std::to_string(streams) +
                  " stream(s), t=" + std::to_string(machine->pool.threads()),
              series,
              1e9,
              "GB/s");
      }
  }

  /// One pass over `count` matrices of bf16 or f16 that lie one behind the other, with `rows` input
  /// rows. Returns seconds.
  double pass(Machine& machine, Shape shape, DType type, std::int64_t rows, std::int64_t count) {
    double start = now_seconds();
    for (std::int64_t i = 0; i < count; ++i) {
      auto* weight = static_cast<std::uint16_t*>(weights_->data()) + i * shape.n * shape.k;
      check(
          machine.ops->linear(*machine.stream,
                              TensorView(output_->data(), DType::f32, {rows, shape.n}),
                              TensorView(input_->data(), linear_input_type(type), {rows, shape.k}),
                              TensorView(weight, type, {shape.n, shape.k}),
                              TensorView(),
                              false));
    }
    return now_seconds() - start;
  }

  /// Weights are cold: each is read once a pass over the working set.
  void decode(Shape shape, DType type) {
    std::int64_t bytes = shape.n * shape.k * 2;
    std::int64_t count = kWorkingSetBytes / bytes;
    std::vector<Series> series(machines_.size());
    for (int round = 0; round < rounds_; ++round)
      for (std::size_t m = 0; m < machines_.size(); ++m) {
        series[m].before.push_back(ceiling(*machines_[m]));
        double seconds = pass(*machines_[m], shape, type, 1, count);
        series[m].after.push_back(ceiling(*machines_[m]));
        series[m].values.push_back(static_cast<double>(count * bytes) / seconds);
      }
    for (std::size_t m = 0; m < machines_.size(); ++m)
      print("decode " + std::string(to_string(type)) + " " + name(shape) +
                ", t=" + std::to_string(machines_[m]->pool.threads()),
            series[m],
            1e9,
            "GB/s");
  }

  void prefill(Shape shape, std::int64_t rows) {
    std::int64_t count = std::max<std::int64_t>(1, kWorkingSetBytes / 4 / (shape.n * shape.k * 2));
    std::vector<Series> series(machines_.size());
    for (int round = 0; round < rounds_; ++round)
      for (std::size_t m = 0; m < machines_.size(); ++m) {
        double seconds = pass(*machines_[m], shape, DType::bf16, rows, count);
        series[m].values.push_back(static_cast<double>(2 * count * rows * shape.n * shape.k) /
                                   seconds);
      }
    for (std::size_t m = 0; m < machines_.size(); ++m)
      print("prefill M=" + std::to_string(rows) + " " + name(shape) +
                ", t=" + std::to_string(machines_[m]->pool.threads()),
            series[m],
            1e9,
            "GFLOP/s");
  }

  /// The matrices of a decoder in the order in which a step reads them: 30 layers and the head.
  void mixed() {
    constexpr Shape kLayer[] = {
        {576, 576}, {192, 576}, {192, 576}, {576, 576}, {1536, 576}, {1536, 576}, {576, 1536}};
    for (auto& machine : machines_) {
      Series series;
      for (int round = 0; round < rounds_; ++round) {
        series.before.push_back(ceiling(*machine));
        double start = now_seconds();
        std::int64_t at = 0;
        auto multiply = [&](Shape shape) {
          check(machine->ops->linear(*machine->stream,
                                     TensorView(output_->data(), DType::f32, {1, shape.n}),
                                     TensorView(input_->data(), DType::bf16, {1, shape.k}),
                                     TensorView(static_cast<std::uint16_t*>(weights_->data()) + at,
                                                DType::bf16,
                                                {shape.n, shape.k}),
                                     TensorView(),
                                     false));
          at += shape.n * shape.k;
        };
        for (int layer = 0; layer < 30; ++layer)
          for (Shape shape : kLayer)
            multiply(shape);
        multiply({49152, 576});
        double seconds = now_seconds() - start;
        series.after.push_back(ceiling(*machine));
        series.values.push_back(static_cast<double>(at * 2) / seconds);
      }
      print("decode of 134 M parameters, t=" + std::to_string(machine->pool.threads()),
            series,
            1e9,
            "GB/s");
    }
  }

  static std::string name(Shape shape) {
    return std::to_string(shape.n) + "x" + std::to_string(shape.k);
  }

  int rounds_;
  HostDevice device_;
  BandwidthProbe probe_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::unique_ptr<Buffer> weights_, input_, output_;
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  std::string level = "auto";
  unsigned threads = 2;
  int rounds = 3;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string option = argv[i];
    if (option == "--level") level = argv[i + 1];
    if (option == "--threads") threads = static_cast<unsigned>(std::max(1, std::atoi(argv[i + 1])));
    if (option == "--rounds") rounds = std::max(3, std::atoi(argv[i + 1]));
  }
  sluice::bench::KernelsBench(level, threads, rounds).run();
}
