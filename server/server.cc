#include "server/server.h"

#include "actors/application.h"
#include "actors/body_memory.h"
#include "actors/gateway.h"
#include "api/access_guard.h"
#include "base/fault_point.h"
#include "base/random.h"
#include "base/work_pool.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "server/chat_templates.h"
#include "server/cheaper_models.h"
#include "server/control_group_memory.h"
#include "server/cpu_budget.h"
#include "server/entrance.h"
#include "server/front_options.h"
#include "server/log_sink.h"
#include "server/model_paths.h"
#include "server/program.h"
#include "server/resource_limits.h"
#include "server/version.h"
#include "trace/log.h"
#include "worker/signals.h"
#include "worker/spawn.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

namespace {

/// A record of its own for each line of `message`.
void tell_lines(std::string_view what, std::string_view message) {
  while (!message.empty()) {
    std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    spdlog::error("{}: {}", what, line);
  }
}

/// The orders to end, which later are answered in order. While the main thread looks at files,
/// which may take for ever, they end the process at once: nothing has begun yet.
class EndsAtOnce {
 public:
  template <class Work>
  static auto during(Work&& work) {
    EndsAtOnce ends;
    return work();
  }

 private:
  EndsAtOnce() {
    sigset_t orders = orders_to_end();
    pthread_sigmask(SIG_UNBLOCK, &orders, &before_);
  }
  ~EndsAtOnce() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  sigset_t before_{};
};

/// Members are destroyed in the reverse order of need.
class WholeServer final : public Server {
 public:
  WholeServer(const ServeOptions& options, std::shared_ptr<const LogSink> log)
      : options_(options), log_(std::move(log)) {}

  std::optional<StartError> start() override {
    if (auto error = check_limits()) return error;
    auto data = EndsAtOnce::during([this] { return make_data_entrance(options_); });
    if (!data) return entrance_error(data.error());
    auto management = EndsAtOnce::during([this] { return make_management_entrance(options_); });
    if (!management) return entrance_error(management.error());
    auto binary = binary_addresses(options_, *data);
    if (!binary) return entrance_error(binary.error());
    if (auto error = make_body_budget()) return error;
    if (auto error = start_loops()) return error;
    if (auto error = make_models()) return error;
    if (auto error = make_actor_config()) return error;
    system_ = std::make_unique<caf::actor_system>(*config_);
    if (auto error = open_listeners(*data, *management, *binary)) return error;
    application_ = std::make_unique<Application>(*system_, front_);
    return std::nullopt;
  }

  std::variant<std::monostate, std::string, StartError> ready() const override {
    if (application_->failed())
      return StartError{ExitCode::internal, "the supervision tree gave up"};
    for (const auto& model : front_->models) {
      bool serves = front_->lanes.ready(model->name) > 0;
      for (const LaneStatus& lane : front_->lanes.snapshot()) {
        if (lane.model != model->name || serves) continue;
        if (lane.load_failed || lane.state == LaneStatus::State::quarantined) {
          return StartError{ExitCode::load_failed, "model " + model->name + ": " + lane.last_exit};
        }
      }
      if (!serves) return std::monostate{};
    }
    std::string line = "ready http=" + addresses_of(data_);
    if (!binary_.empty()) line += " binary=" + addresses_of(binary_);
    return line + " management=" + management_->address().to_string();
  }

  [[nodiscard]] std::optional<LaneStatus> awaited() const override {
    std::optional<LaneStatus> furthest;
    for (const auto& model : front_->models) {
      if (furthest || front_->lanes.ready(model->name) > 0) continue;
      for (LaneStatus& lane : front_->lanes.snapshot())
        if (lane.model == model->name && (!furthest || lane.load.bytes > furthest->load.bytes))
          furthest = std::move(lane);
    }
    return furthest;
  }

  [[nodiscard]] bool failed() const override { return application_->failed(); }
  [[nodiscard]] bool chats() const override {
    return front_->models.front()->card.chat_template != nullptr;
  }
  [[nodiscard]] std::string address() const override {
    return data_.front()->address().to_string();
  }
  [[nodiscard]] std::int64_t sessions() const override {
    std::int64_t reading = front_->counters.reading;  // first, for they become sessions
    return reading + front_->counters.sessions;
  }
  [[nodiscard]] bool idle() const override {
    return sessions() == 0 && clients().answer_bytes == 0;
  }
  [[nodiscard]] ListenerStats clients() const override {
    ListenerStats all;
    for (const auto& listener : data_)
      all += listener->stats();
    for (const auto& listener : binary_)
      all += listener->stats();
    return all;
  }

  void reload_keys() override {
    if (options_.keys_file.empty() && options_.admin_keys_file.empty()) {
      spdlog::warn("SIGHUP: there is no file of keys to read again");
      return;
    }
    auto data = reread_keys("--api-keys", options_.keys_file, *keys_->get());
    auto management = reread_keys("--admin-keys", options_.admin_keys_file, *admin_keys_->get());
    for (const auto* file : {&data, &management})
      if (!*file) tell_lines("the keys stay as they are", file->error().message);
    if (!data || !management) {
      reloads_failed_ += 1;
      return;
    }
    put_keys(*data, *management);
    reloads_ += 1;
    reloaded_at_ = unix_seconds();
    spdlog::info("the files of keys have been read again: {} keys of {} tenants, {} of operators",
                 data->keys.size(),
                 data->tenants.size(),
                 management->keys.size());
  }

  void stop_being_ready() override { front_->stopping = true; }
  void drain() override {
    front_->draining = true;
    for (const auto& listener : data_)
      listener->drain();
    for (const auto& listener : binary_)
      listener->drain();
  }

  void end_requests() override { application_->end_requests(); }

  /// The loops' threads must be gone before the actor system, because CAF keeps a reference in
  /// every thread that ever sent a message.
  void stop() override {
    for (const auto& listener : data_)
      listener->close();
    for (const auto& listener : binary_)
      listener->close();
    pool_.reset();  // its work is for clients that are gone now
    if (application_) application_->stop();
    if (management_) management_->close();
    application_.reset();
    data_.clear();
    binary_.clear();
    management_.reset();
    guards_.clear();
    gateway_.reset();
    rpc_gateway_.reset();
    management_gateway_.reset();
    data_loops_.clear();
    management_loop_.reset();
    if (front_) front_->launcher.reset();
    worker_loop_.reset();
    if (trace_) trace_->flush();
    if (trace_ && trace_->lost() > 0)
      spdlog::error(
          "--trace {}: {} events could not be written", options_.trace_file, trace_->lost());
    trace_.reset();
    // Sessions whose connections were closed just now have this in their mailboxes, and end with
    // it.
    front_.reset();
    system_.reset();
  }

 private:
  template <class Listeners>
  static std::string addresses_of(const Listeners& listeners) {
    std::string addresses;
    for (const auto& listener : listeners)
      addresses += (addresses.empty() ? "" : ",") + listener->address().to_string();
    return addresses;
  }

  /// CAF does not come back from a thread that the system refuses it.
  std::optional<StartError> make_actor_config() {
    constexpr std::uint32_t kOwnThreads = 5;  // of its own, and one that stands by to run actors
    const std::uint32_t threads =
        options_.scheduler_threads ? options_.scheduler_threads : actor_threads(usable_cores());
    if (!may_start_threads(threads + kOwnThreads))
      return StartError{ExitCode::internal, std::string(kCannotGoOn)};
    config_ = sluice::make_actor_config(threads);
    return std::nullopt;
  }

  [[nodiscard]] double unix_seconds() const {
    return std::chrono::duration<double>(clock_->wall().time_since_epoch()).count();
  }

  /// For the metrics, on the management loop: nothing before both ports are open.
  [[nodiscard]] std::optional<ServerFigures> figures() const {
    if (!is_open_.load(std::memory_order_acquire)) return std::nullopt;
    ServerFigures all;
    for (const auto& listener : data_)
      all.data += listener->stats();
    for (const auto& listener : binary_) {
      all.binary += listener->stats();
      all.rpc += listener->rpc_stats();
    }
    all.management = management_->stats();
    all.body_memory_used = body_budget_->used();
    all.body_memory_limit = body_budget_->total();
    all.bodies_refused = body_budget_->refused();
    all.bodies_gave_way = body_budget_->gave_way();
    all.faults_injected = fault_points_ ? fault_points_->fired() : 0;
    all.log_dropped = log_->dropped();
    all.reloads = reloads_;
    all.reloads_failed = reloads_failed_;
    all.reloaded_at = reloaded_at_;
    return all;
  }

  void put_keys(const KeysFile& data, const KeysFile& management) {
    keys_->replace(make_key_ring(data, enroll(*front_, data.tenants)));
    // Operators are no tenants: nothing of theirs is counted.
    admin_keys_->replace(make_key_ring(
        management, std::vector<std::shared_ptr<const Tenant>>(management.tenants.size())));
  }

  static StartError entrance_error(const Error& error) {
    bool usage = error.code == ErrorCode::invalid_argument;
    return {usage ? ExitCode::usage : ExitCode::invalid_input, error.message};
  }

  [[nodiscard]] std::optional<StartError> check_limits() const {
    ResourceLimits limits = take_limits();
    std::uint64_t models = std::max<std::size_t>(1, options_.models.size());
    ResourceNeeds needs{models * options_.workers, options_.connections_max};
    if (auto why = refuse_limits(limits, needs)) return StartError{ExitCode::invalid_input, *why};
    if (auto why = doubt_limits(limits, needs)) spdlog::warn("{}", *why);
    return std::nullopt;
  }

  std::optional<StartError> make_body_budget() {
    ByteBudget::Options budget;
    std::uint64_t body = options_.body_bytes_max;
    budget.total = options_.body_memory ? options_.body_memory : std::max(budget.total, 2 * body);
    body_budget_ = ByteBudget::create(budget);
    if (body_budget_->largest() >= body) return std::nullopt;
    return StartError{ExitCode::usage,
                      fmt::format("--body-memory {} leaves {} bytes for one body, --max-body is {}",
                                  options_.body_memory,
                                  body_budget_->largest(),
                                  body)};
  }

  std::optional<StartError> start_loops() {
    std::uint32_t count = options_.loops ? options_.loops : network_threads(usable_cores());
    for (std::uint32_t i = 0; i < count; ++i) {
      if (auto error = start_loop("data-" + std::to_string(i), data_loops_.emplace_back()))
        return error;
    }
    if (auto error = start_loop("management", management_loop_)) return error;
    return start_loop("workers", worker_loop_);
  }

  static std::optional<StartError> start_loop(const std::string& name,
                                              std::unique_ptr<EventLoop>& loop) {
    auto started = EventLoop::start(name);
    if (!started) return StartError{ExitCode::internal, started.error().message};
    loop = std::move(*started);
    return std::nullopt;
  }

  std::optional<StartError> make_models() {
    clock_ = std::make_shared<SystemClock>();
    front_ = make_front(front_options(options_),
                        clock_,
                        std::make_shared<SystemRandom>(),
                        make_process_launcher(*worker_loop_));
    front_->host_memory = make_control_group_memory();
    if (!options_.trace_file.empty()) {
      // A pipe is opened when somebody reads it.
      auto sink =
          EndsAtOnce::during([this] { return trace::FileSink::create(options_.trace_file); });
      if (!sink)
        return StartError{ExitCode::invalid_input,
                          "--trace " + options_.trace_file + ": " + sink.error().message};
      trace_ = std::move(*sink);
      front_->trace = trace_;
      front_->record(trace_limits(*front_));
    }
    auto paths = model_paths(options_, program_path());
    if (!paths) {
      bool usage = paths.error().code == ErrorCode::invalid_argument;
      return StartError{usage ? ExitCode::usage : ExitCode::load_failed, paths.error().message};
    }
    if (options_.models.empty() && options_.paths.empty())
      spdlog::info("no model is named: serving {}, which ships with the server",
                   paths->front().name);
    std::vector<std::string> names;
    for (const NamedPath& path : *paths)
      names.push_back(path.name);
    for (const NamedPath& path : *paths) {
      auto card = EndsAtOnce::during([&path] { return load_model_card(path.path); });
      if (!card)
        return StartError{ExitCode::load_failed,
                          "model " + path.name + " at " + path.path + ": " + card.error().message};
      auto model = std::make_shared<ServedModel>();
      model->name = path.name;
      model->card = std::move(*card);
      if (auto failed = choose_template(*model, names)) return failed;
      model->default_max_tokens = options_.default_max_tokens;
      model->created =
          std::chrono::duration_cast<std::chrono::seconds>(clock_->wall().time_since_epoch())
              .count();
      WorkerSpec spec{
          kOwnProgram, worker_arguments(options_, path.path, ::getpid()), program_path()};
      add_model(*front_, std::move(model), options_.workers, spec);
    }
    if (auto failed = choose_cheaper(names)) return failed;
    for (auto& [lane, spec] : front_->worker_specs) {
      for (std::string& word : fault_arguments(options_, lane.value))
        spec.arguments.push_back(std::move(word));
    }
    return arm_fault_points();
  }

  /// Which models may answer for others.
  std::optional<StartError> choose_cheaper(const std::vector<std::string>& names) const {
    auto pairs = parse_cheaper(options_.cheaper, names);
    if (!pairs) return StartError{ExitCode::usage, pairs.error().message};
    for (const auto& [name, other] : *pairs) {
      auto model = front_->find_model(name);
      auto cheaper = front_->find_model(other);
      if (cheaper->card.context < model->card.context)
        return StartError{ExitCode::invalid_input,
                          "--cheaper " + name + "=" + other + ": " + other + " has a context of " +
                              std::to_string(cheaper->card.context) + " tokens, less than the " +
                              std::to_string(model->card.context) + " of " + name};
      model->cheaper = other;
    }
    return std::nullopt;
  }

  /// The last template that was given to the model, or to all, replaces its own.
  std::optional<StartError> choose_template(ServedModel& model,
                                            const std::vector<std::string>& names) const {
    for (const std::string& text : options_.chat_templates) {
      ChatTemplateOption option = parse_chat_template_option(text, names);
      if (!option.model.empty() && option.model != model.name) continue;
      auto loaded = EndsAtOnce::during([&option] { return open_chat_template(option.source); });
      if (!loaded)
        return StartError{ExitCode::invalid_input,
                          "--chat-template " + text + ": " + loaded.error().message};
      model.card.chat_template = std::move(*loaded);
    }
    return std::nullopt;
  }

  std::optional<StartError> arm_fault_points() {
    if (options_.fault_points.empty()) return std::nullopt;
    std::vector<FaultPointRule> rules;
    for (const std::string& text : options_.fault_points) {
      auto rule = parse_fault_point(text);
      if (!rule) return StartError{ExitCode::usage, "--fault-point: " + rule.error().message};
      rules.push_back(std::move(*rule));
    }
    fault_points_.emplace(std::move(rules));
    return std::nullopt;
  }

  std::optional<StartError> open_listeners(const Entrance& data,
                                           const Entrance& management,
                                           const std::vector<ListenAddress>& binary) {
    auto gateway = std::make_shared<GatewayOptions>();
    keys_ = gateway->keys;
    admin_keys_ = gateway->admin_keys;
    put_keys(data.keys, management.keys);
    gateway->limits.default_timeout = options_.request_timeout;
    gateway->limits.max_timeout = std::max(gateway->limits.max_timeout, options_.request_timeout);
    gateway->idempotency = IdempotencyTable::create(
        {.ttl = options_.idempotency_ttl, .bytes_max = options_.idempotency_memory});
    gateway->body_bytes_max = options_.body_bytes_max;
    gateway->stall = options_.health_stall;
    gateway->version = kVersion;
    gateway->git = kGitCommit;
    gateway->build = kBuildType;
    gateway->figures = [this] { return figures(); };
    std::vector<EventLoop*> loops;
    for (const auto& loop : data_loops_) {
      gateway->loops.emplace_back("data-" + std::to_string(loops.size()), loop.get());
      loops.push_back(loop.get());
    }
    gateway->loops.emplace_back("workers", worker_loop_.get());
    pool_ = make_work_pool({});
    auto intake =
        std::make_shared<Intake>(*system_, front_, gateway->limits, *pool_, gateway->idempotency);
    gateway_ = make_gateway(*system_, front_, gateway, intake);
    rpc_gateway_ = make_rpc_gateway(front_, gateway, intake);
    management_gateway_ = make_management_gateway(*system_, front_, gateway);
    HttpOptions http;
    http.server_name = std::string("sluice/") + kVersion;
    http.body_bytes_max = options_.body_bytes_max;
    http.connections_max = options_.connections_max;
    http.connections_per_address_max = options_.connections_per_address_max
                                           ? options_.connections_per_address_max
                                           : std::max<std::size_t>(1, options_.connections_max / 2);
    http.idle_timeout = options_.keep_alive_timeout;
    http.answer_bytes_max = options_.answer_memory;
    std::vector<std::unique_ptr<PortListener>> opened;
    auto error = open_all(management, {management_loop_.get()}, http, *management_gateway_, opened);
    if (error) return error;
    management_ = std::move(opened.front());
    http.body_memory = make_body_memory(body_budget_, clock_);
    error = open_all(data, loops, http, *gateway_, data_);
    if (!error) error = open_binary(binary, loops, http);
    reloaded_at_ = unix_seconds();
    is_open_.store(!error, std::memory_order_release);
    return error;
  }

  /// A listener for each address, with its own guard before the shared handler.
  std::optional<StartError> open_all(const Entrance& entrance,
                                     const std::vector<EventLoop*>& loops,
                                     const HttpOptions& http,
                                     HttpHandler& handler,
                                     std::vector<std::unique_ptr<PortListener>>& listeners) {
    for (std::size_t i = 0; i < entrance.addresses.size(); ++i) {
      guards_.push_back(
          std::make_unique<AccessGuard>(entrance.policies[i], handler, *front_->random));
      auto opened = listen_http(entrance.addresses[i], loops, http, *guards_.back());
      if (!opened)
        return StartError{ExitCode::bind_failed,
                          std::string(entrance.option) + ": " + opened.error().message};
      listeners.push_back(std::move(*opened));
    }
    return std::nullopt;
  }

  /// With the limits of the data port.
  std::optional<StartError> open_binary(const std::vector<ListenAddress>& addresses,
                                        const std::vector<EventLoop*>& loops,
                                        const HttpOptions& http) {
    RpcOptions rpc;
    rpc.request_bytes_max = http.body_bytes_max;
    rpc.frame_bytes_max = static_cast<std::uint32_t>(
        std::clamp<std::size_t>(http.body_bytes_max, rpc.frame_bytes_max, UINT32_MAX / 2));
    rpc.connections_max = http.connections_max;
    rpc.connections_per_address_max = http.connections_per_address_max;
    rpc.body_memory = http.body_memory;
    rpc.answer_bytes_max = http.answer_bytes_max;
    rpc.stream_buffer = front_->options.stream_buffer;
    rpc.drain_grace = options_.drain_timeout;
    for (const ListenAddress& address : addresses) {
      auto opened = listen_rpc(address, loops, rpc, *rpc_gateway_);
      if (!opened)
        return StartError{ExitCode::bind_failed, "--binary-listen: " + opened.error().message};
      binary_.push_back(std::move(*opened));
    }
    return std::nullopt;
  }

  ServeOptions options_;
  std::shared_ptr<const LogSink> log_;
  std::atomic<bool> is_open_{false};  ///< both ports: from then on the listeners stay to the end
  std::atomic<std::uint64_t> reloads_{0};
  std::atomic<std::uint64_t> reloads_failed_{0};
  std::atomic<double> reloaded_at_{0};  ///< Unix seconds: the last time that the keys were read
  std::optional<FaultPoints> fault_points_;
  std::shared_ptr<CurrentKeys> keys_;
  std::shared_ptr<CurrentKeys> admin_keys_;
  std::shared_ptr<const Clock> clock_;
  std::vector<std::unique_ptr<EventLoop>> data_loops_;
  std::unique_ptr<EventLoop> management_loop_;
  std::unique_ptr<EventLoop> worker_loop_;
  std::shared_ptr<Front> front_;
  std::unique_ptr<caf::actor_system_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<ByteBudget> body_budget_;
  std::shared_ptr<trace::FileSink> trace_;  ///< null: nothing is recorded
  std::unique_ptr<WorkPool> pool_;
  std::unique_ptr<HttpHandler> gateway_;
  std::unique_ptr<HttpHandler> management_gateway_;
  std::vector<std::unique_ptr<AccessGuard>> guards_;  ///< of all listeners
  std::unique_ptr<PortListener> management_;
  std::vector<std::unique_ptr<PortListener>> data_;
  std::unique_ptr<RpcHandler> rpc_gateway_;
  std::vector<std::unique_ptr<RpcListener>> binary_;
  std::unique_ptr<Application> application_;
};

}  // namespace

std::unique_ptr<Server> Server::create(const ServeOptions& options,
                                       std::shared_ptr<const LogSink> log) {
  return std::make_unique<WholeServer>(options, std::move(log));
}

}  // namespace sluice
