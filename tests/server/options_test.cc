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
  EXPECT_EQ(line.serve->listen, (std::vector<std::string>{"127.0.0.1:8000"}));
  EXPECT_EQ(line.serve->management_listen, "127.0.0.1:8002");
  EXPECT_EQ(line.serve->queue_capacity, 1024U);
  EXPECT_EQ(line.serve->connections_max, 2048U);
  EXPECT_EQ(line.serve->body_bytes_max, 8U << 20);
  EXPECT_EQ(line.serve->drain_timeout, std::chrono::seconds(45));
  EXPECT_EQ(line.serve->keep_alive_timeout, std::chrono::seconds(120));
  EXPECT_EQ(line.serve->idempotency_ttl, std::chrono::minutes(10));
  EXPECT_EQ(line.serve->idempotency_memory, std::size_t{64} << 20);
  EXPECT_TRUE(line.serve->allow_anonymous.empty());
}

TEST(Options, NameAModelToLookAt) {
  auto line = parse({"model", "info", "/path/x.gguf", "--dtype", "f32", "--max-sequences", "8"});

  ASSERT_TRUE(line.model_info);
  EXPECT_FALSE(line.serve || line.worker || line.exit);
  EXPECT_EQ(line.model_info->path, "/path/x.gguf");
  EXPECT_EQ(line.model_info->dtype, "f32");
  EXPECT_EQ(line.model_info->sequences_max, 8U);
  EXPECT_EQ(parse({"model", "info"}).model_info->path, "");
  EXPECT_EQ(parse({"model"}).exit, static_cast<int>(ExitCode::usage));
  EXPECT_EQ(parse({"model", "info", "x", "--dtype", "int3"}).exit,
            static_cast<int>(ExitCode::usage));
}

TEST(Options, TellWhomToTalkTo) {
  auto line = parse({"chat",
                     "--url",
                     "http://h:1/v1",
                     "--model",
                     "m",
                     "--system",
                     "Be brief",
                     "--api-key",
                     "k",
                     "--max-tokens",
                     "9",
                     "--temperature",
                     "1.5",
                     "--temperature",
                     "0.5",
                     "--top-p",
                     "0.25",
                     "--seed",
                     "-3",
                     "--stall-timeout",
                     "9s"});

  ASSERT_TRUE(line.chat);
  EXPECT_FALSE(line.serve || line.worker || line.pull || line.exit);
  EXPECT_EQ(line.chat->url, "http://h:1/v1");
  EXPECT_EQ(line.chat->system, "Be brief");
  EXPECT_EQ(line.chat->api_key, "k");
  EXPECT_EQ(line.chat->settings.model, "m");
  EXPECT_EQ(line.chat->settings.max_tokens, 9U);
  EXPECT_EQ(line.chat->settings.temperature, 0.5F) << "the last one";
  EXPECT_EQ(line.chat->settings.top_p, 0.25F);
  EXPECT_EQ(line.chat->settings.seed, -3);
  EXPECT_EQ(line.chat->stall_timeout, std::chrono::seconds(9));
  EXPECT_FALSE(parse({"chat"}).chat->settings.max_tokens);
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--url", "ftp://h"},
                                                {"--max-tokens", "0"},
                                                {"--temperature", "3"},
                                                {"--seed", "x"},
                                                {"--stall-timeout", "0s"},
                                                {"words"}}) {
    std::vector<std::string> arguments = {"chat"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    EXPECT_EQ(parse(arguments).exit, static_cast<int>(ExitCode::usage)) << wrong[0];
  }
}

TEST(Options, NameAModelToPull) {
  auto line = parse({"pull",
                     "hf:org/name:Q8_0@main",
                     "--include",
                     "a*",
                     "--include",
                     "b*",
                     "--to",
                     "folder",
                     "--retries",
                     "0"});

  ASSERT_TRUE(line.pull);
  EXPECT_EQ(line.pull->model, "hf:org/name:Q8_0@main");
  EXPECT_EQ(line.pull->include, (std::vector<std::string>{"a*", "b*"}));
  EXPECT_EQ(line.pull->to, "folder");
  EXPECT_EQ(line.pull->retries, 0U);
  EXPECT_EQ(parse({"pull"}).exit, static_cast<int>(ExitCode::usage));
  EXPECT_EQ(parse({"pull", "org/name"}).exit, static_cast<int>(ExitCode::usage));
}

TEST(Options, ListenOnSeveralAddressesAndKnowWhoMayCome) {
  auto line = parse({"serve",
                     "--listen",
                     "127.0.0.1:1",
                     "--listen",
                     "[::]:0",
                     "--allowed-host",
                     "a.example",
                     "--allowed-host",
                     "b.example",
                     "--allowed-origin",
                     "https://a.example",
                     "--admin-keys",
                     "file",
                     "--allow-anonymous",
                     "data,management"});

  ASSERT_TRUE(line.serve);
  EXPECT_EQ(line.serve->listen, (std::vector<std::string>{"127.0.0.1:1", "[::]:0"}));
  EXPECT_EQ(line.serve->allowed_hosts, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(line.serve->allowed_origins, (std::vector<std::string>{"https://a.example"}));
  EXPECT_EQ(line.serve->admin_keys_file, "file");
  EXPECT_EQ(line.serve->allow_anonymous, (std::vector<std::string>{"data", "management"}));
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

TEST(Options, SayWhetherAndHowTheServiceIsDegraded) {
  EXPECT_TRUE(parse({"serve"}).serve->degradation);

  auto line = parse({"serve",
                     "--degradation",
                     "off",
                     "--cheaper",
                     "a=b",
                     "--cheaper",
                     "b=c",
                     "--itl-objective",
                     "200ms"});

  ASSERT_TRUE(line.serve);
  EXPECT_FALSE(line.serve->degradation);
  EXPECT_EQ(line.serve->cheaper, (std::vector<std::string>{"a=b", "b=c"}));
  EXPECT_EQ(line.serve->itl_objective, std::chrono::milliseconds(200));
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

/// An option, a value it must not have, and what is said.
struct BadValue {
  const char* option;
  const char* value;
  const char* said;
};
class BadOptionValues : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadOptionValues, AreNamedWithWhatMayStandThere) {
  const BadValue& bad = GetParam();
  ::testing::internal::CaptureStderr();

  auto line = parse({"serve", bad.option, bad.value});

  std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_FALSE(line.serve);
  EXPECT_EQ(line.exit, static_cast<int>(ExitCode::usage));
  EXPECT_NE(said.find(bad.option), std::string::npos) << said;
  EXPECT_NE(said.find(bad.said), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(
    CommandLine,
    BadOptionValues,
    ::testing::Values(
        BadValue{"--drain-delay", "-5s", "-5s is not a time from 0s to 1h"},
        BadValue{"--drain-timeout", "25h", "25h is not a time from 0s to 24h"},
        BadValue{"--request-timeout", "0s", "0s is not a time from 1ms to 168h"},
        BadValue{"--request-timeout", "99999999999h", "is not a time from 1ms to 168h"},
        BadValue{"--load-timeout", "soon", "soon is not a time from 1ms to 24h"},
        BadValue{"--keep-alive-timeout", "0s", "0s is not a time from 1s to 24h"},
        BadValue{"--lane-restart-period", "0s", "0s is not a time from 1ms to 24h"},
        BadValue{"--lane-backoff-min", "0s", "0s is not a time from 1ms to 1h"},
        BadValue{"--lane-backoff-min", "10m", "--lane-backoff-max 30s"},
        BadValue{"--quarantine-first", "10m", "--quarantine-longest 5m"},
        BadValue{"--lane-restarts", "-1", "-1 is not a whole number from 0 to 1000000"},
        BadValue{"--max-connections", "0", "0 is not a whole number from 1 to 1000000"},
        BadValue{"--max-connections", "-3", "-3 is not a whole number"},
        BadValue{"--queue-capacity", "-1", "-1 is not a whole number from 0 to 1000000"},
        BadValue{"--workers", "0", "0 is not a whole number from 1 to 64"},
        BadValue{"--threads", "1025", "1025 is not a whole number from 0 to 1024"},
        BadValue{"--max-sequences", "1e3", "1e3 is not a whole number from 1 to 4096"},
        BadValue{"--step-rows", "63", "63 is less than --max-sequences 64"},
        BadValue{"--default-max-tokens", "0", "0 is not a whole number from 1 to 1048576"},
        BadValue{"--max-body", "4GiB", "4GiB is not a size from 1KiB to 1GiB"},
        BadValue{"--max-body", "0", "0 is not a size from 1KiB to 1GiB"},
        BadValue{"--kv-memory", "-1", "-1 is not a size from 0B to 16384GiB"},
        BadValue{"--device", "bogus", "no device is called \"bogus\"; known are"},
        BadValue{"--device", "cuda:0", "this build has no CUDA backend"},
        BadValue{"--kernels", "fast", "no kernel level is called \"fast\"; known are auto"},
        BadValue{"--dtype", "f64", "f64"},
        BadValue{"--log-level", "loud", "loud"},
        BadValue{"--listen", "8000", "\"8000\" is not an address with a port"},
        BadValue{"--management-listen", "host:1", "is not an address with a port"},
        BadValue{"--allow-anonymous", "everybody", "everybody"},
        BadValue{"--degradation", "maybe", "maybe"},
        BadValue{"--itl-objective", "0s", "0s is not a time from 1ms to 1m"},
        BadValue{"--fault-point", "queue.enqeue=nth:5", "known are admission.accepted"},
        BadValue{"--worker-fault", "1:exit(70)@step=5", "there is no lane 1, only 0 to 0"}));

TEST(Options, CountLanesOverAllModels) {
  auto line = parse({"serve", "--model", "a=hash", "--model", "b=hash", "--workers", "3"});

  ASSERT_TRUE(line.serve);
  EXPECT_EQ(lane_count(*line.serve), 6U);
  EXPECT_EQ(lane_count(ServeOptions{}), 1U);
}

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
                      "--workers",
                      "2",
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
