#include "server/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

CommandLine parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "sluice");
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

TEST(Options, HaveTheDocumentedDefaults) {
  auto line = parse({"serve"});

  ASSERT_TRUE(line.serve);
  EXPECT_FALSE(line.worker);
  EXPECT_FALSE(line.exit);
  EXPECT_EQ(line.serve->listen, "127.0.0.1:8000");
  EXPECT_EQ(line.serve->management_listen, "127.0.0.1:8002");
  EXPECT_EQ(line.serve->queue_capacity, 1024U);
  EXPECT_EQ(line.serve->connections_max, 2048U);
  EXPECT_EQ(line.serve->body_bytes_max, 8U << 20);
  EXPECT_EQ(line.serve->drain_timeout, std::chrono::seconds(45));
}

TEST(Options, ReadDurationsAndSizesWithTheirUnits) {
  auto line = parse({"serve",
                     "--drain-delay",
                     "250ms",
                     "--drain-timeout",
                     "2m",
                     "--request-timeout",
                     "1h",
                     "--load-timeout",
                     "90s",
                     "--max-body",
                     "3MiB",
                     "--kv-memory",
                     "2GB"});

  ASSERT_TRUE(line.serve);
  EXPECT_EQ(line.serve->drain_delay, std::chrono::milliseconds(250));
  EXPECT_EQ(line.serve->drain_timeout, std::chrono::minutes(2));
  EXPECT_EQ(line.serve->request_timeout, std::chrono::hours(1));
  EXPECT_EQ(line.serve->load_timeout, std::chrono::seconds(90));
  EXPECT_EQ(line.serve->body_bytes_max, 3U << 20);
  EXPECT_EQ(line.serve->kv_bytes, 2'000'000'000U);
}

TEST(Options, KeepSeveralModelsInTheirOrder) {
  auto line = parse({"serve", "--model", "a=hash", "--model", "b=/somewhere"});

  ASSERT_TRUE(line.serve);
  EXPECT_EQ(line.serve->models, (std::vector<std::string>{"a=hash", "b=/somewhere"}));
}

/// What must end with the exit code of a usage error.
class BadOptions : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(BadOptions, AreUsageErrors) {
  auto line = parse(GetParam());

  EXPECT_FALSE(line.serve);
  EXPECT_EQ(line.exit, static_cast<int>(ExitCode::usage));
}

INSTANTIATE_TEST_SUITE_P(
    CommandLine,
    BadOptions,
    ::testing::Values(
        std::vector<std::string>{},
        std::vector<std::string>{"sreve"},
        std::vector<std::string>{"serve", "--bogus"},
        std::vector<std::string>{"serve", "--workers", "0"},
        std::vector<std::string>{"serve", "--workers", "many"},
        std::vector<std::string>{"serve", "--dtype", "f64"},
        std::vector<std::string>{"serve", "--drain-timeout", "45"},
        std::vector<std::string>{"serve", "--kv-memory", "2XB"},
        std::vector<std::string>{"serve", "--worker-fault", "exit(70)"},
        std::vector<std::string>{"serve", "--worker-fault", "1:bogus@step=1"},
        std::vector<std::string>{"serve", "--fault-point", "queue.enqueue"},
        std::vector<std::string>{
            "worker", "--parent", "1", "--path", "hash", "--fault", "exit(70)@stop=1"},
        std::vector<std::string>{"worker"}));

TEST(Options, SayWhatIsWrongWithAPlanOfFaults) {
  ::testing::internal::CaptureStderr();

  auto line = parse({"serve", "--worker-fault", "1:exit(70)@stop=1"});

  std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(line.exit, 2);
  EXPECT_NE(said.find("--worker-fault"), std::string::npos) << said;
  EXPECT_NE(
      said.find("fault plan \"exit(70)@stop=1\", position 10: expected load or step or rows or "
                "tokens, found 's'"),
      std::string::npos)
      << said;
}

TEST(Options, GiveFaultsToTheWorkersOfTheirLane) {
  auto serve = parse({"serve",
                      "--worker-fault",
                      "exit(70)@step=100; hang@step=5",
                      "--worker-fault",
                      "1:stop@step=30",
                      "--fault-point",
                      "queue.enqueue=nth:5"});
  ASSERT_TRUE(serve.serve);
  EXPECT_EQ(serve.serve->fault_points, std::vector<std::string>{"queue.enqueue=nth:5"});
  EXPECT_EQ(
      fault_arguments(*serve.serve, 0),
      (std::vector<std::string>{"--fault", "exit(70)@step=100; hang@step=5", "--fault-seed", "0"}));

  auto arguments = worker_arguments(*serve.serve, "hash", 1);
  arguments.insert(arguments.begin(), "worker");
  for (const std::string& argument : fault_arguments(*serve.serve, 1))
    arguments.push_back(argument);
  arguments.insert(arguments.end(), {"--incarnation", "4"});
  auto worker = parse(arguments);

  ASSERT_TRUE(worker.worker);
  EXPECT_EQ(worker.worker->faults,
            (std::vector<std::string>{"exit(70)@step=100; hang@step=5", "stop@step=30"}));
  EXPECT_EQ(worker.worker->incarnation, 4U);
  EXPECT_EQ(worker.worker->fault_seed, 1U);
  EXPECT_TRUE(fault_arguments(ServeOptions{}, 0).empty());
}

TEST(Options, PrintHelpAndVersionAndSucceed) {
  EXPECT_EQ(parse({"--help"}).exit, 0);
  EXPECT_EQ(parse({"serve", "--help"}).exit, 0);
  EXPECT_EQ(parse({"--version"}).exit, 0);
}

TEST(Options, ReachTheWorkerAsTheyWereGiven) {
  auto serve = parse({"serve",
                      "--threads",
                      "3",
                      "--dtype",
                      "f32",
                      "--kernels",
                      "portable",
                      "--max-sequences",
                      "7",
                      "--step-rows",
                      "99",
                      "--prefill-chunk",
                      "5",
                      "--kv-memory",
                      "64MiB"});
  ASSERT_TRUE(serve.serve);

  auto arguments = worker_arguments(*serve.serve, "/a/model", 4711);
  arguments.insert(arguments.begin(), "worker");
  auto worker = parse(arguments);

  ASSERT_TRUE(worker.worker);
  EXPECT_EQ(worker.worker->parent, 4711);
  EXPECT_EQ(worker.worker->path, "/a/model");
  EXPECT_EQ(worker.worker->threads, 3U);
  EXPECT_EQ(worker.worker->dtype, "f32");
  EXPECT_EQ(worker.worker->kernels, "portable");
  EXPECT_EQ(worker.worker->sequences_max, 7U);
  EXPECT_EQ(worker.worker->step_rows, 99U);
  EXPECT_EQ(worker.worker->prefill_chunk, 5U);
  EXPECT_EQ(worker.worker->kv_bytes, 64U << 20);
}

}  // namespace
}  // namespace sluice
