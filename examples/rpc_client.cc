// The smallest client of the binary protocol: a whole answer, then a stream.
//   rpc_client [PROMPT] [PORT]      beside a server: ./build/sluice serve
#include "sluice/client/client.h"

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  using namespace sluice::client;
  const std::string prompt = argc > 1 ? argv[1] : "In the beginning";
  Options options;
  if (argc > 2) options.port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  Client client(options);

  const Value::Map params{{"prompt", prompt}, {"max_tokens", 32}, {"seed", 1}};
  const auto answer = client.complete(params);
  if (!answer) {
    std::fprintf(stderr, "%s: %s\n", answer.error().code.c_str(), answer.error().message.c_str());
    return 1;
  }
  std::printf("whole: %s\n", answer->choices.at(0).text.c_str());

  std::printf("stream: ");
  Stream stream = client.stream_completion(params);
  while (const auto piece = stream.next()) {
    std::printf("%s", piece->text.c_str());
    std::fflush(stdout);
  }
  if (stream.error()) {
    std::fprintf(
        stderr, "\n%s: %s\n", stream.error()->code.c_str(), stream.error()->message.c_str());
    return 1;
  }
  std::printf("\ntokens: %llu\n",
              static_cast<unsigned long long>(stream.usage().completion_tokens));
}
