// The smallest HTTP server on net/: answers every request at once, to measure connections alone.
//   connections_server [port] [loops] [connections]
// Prints its port and its process id, and serves until its input ends.
#include "net/event_loop.h"
#include "net/http.h"
#include "net/listener.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace sluice;

class Answerer final : public HttpHandler {
 public:
  std::optional<HttpResponse> on_head(const HttpRequest&) override { return std::nullopt; }
  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    HttpResponse response;
    response.headers.emplace_back("Content-Type", "text/plain");
    response.body = request.body.empty() ? "ok\n" : std::move(request.body);
    exchange->respond(std::move(response));
  }
  HttpResponse on_fault(const HttpFault& fault) override {
    HttpResponse response;
    response.status = fault.status;
    response.body = fault.code + "\n";
    return response;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  std::vector<std::unique_ptr<EventLoop>> loops;
  std::vector<EventLoop*> pointers;
  for (int i = 0; i < argument(2, 1); ++i) {
    auto loop = EventLoop::start("net-" + std::to_string(i));
    if (!loop) return 1;
    loops.push_back(std::move(*loop));
    pointers.push_back(loops.back().get());
  }
  HttpOptions options;
  options.connections_max = static_cast<std::size_t>(argument(3, 20000));
  Answerer answerer;
  auto listener = listen_http(
      {"127.0.0.1", static_cast<std::uint16_t>(argument(1, 0))}, pointers, options, answerer);
  if (!listener) {
    std::fprintf(stderr, "%s\n", listener.error().message.c_str());
    return 1;
  }
  std::printf("port=%u pid=%d\n", (*listener)->address().port, static_cast<int>(::getpid()));
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  (*listener)->close();
  return 0;
}
