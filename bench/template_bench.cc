// How fast chat templates are read and rendered.
//
//   template_bench [--rounds 200]
//
// Conversations of 200 messages, with built-in templates and with two of those in
// tests/golden/templates, which are found from the root of the repository. Lines: name value unit
// goal ratio; values are medians.
#include "models/template/builtin.h"
#include "models/template/chat_template.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {
namespace {

using jinja::ChatInputs;
using jinja::ChatTemplate;
using jinja::Dict;
using jinja::List;
using jinja::Origin;
using jinja::Prompt;
using jinja::Value;
using jinja::ValueHeap;

constexpr int kMessages = 200;
constexpr double kGoalMilliseconds = 1.0;

/// Questions of about 150 bytes, answers of about 600.
Value conversation(ValueHeap& heap) {
  std::string question =
      "Could you explain once more how that works, with an example that somebody "
      "understands who has not read the chapters before, please? ";
  std::string answer;
  for (int i = 0; i < 8; ++i)
    answer += "It is simpler than it looks: one thing follows from the other, line by line.\n";
  List* messages = heap.list();
  for (int i = 0; i < kMessages; ++i) {
    bool asks = i % 2 == 0;
    Dict* message = heap.dict(2);
    heap.set(message,
             ValueHeap::view("role", Origin::untrusted),
             ValueHeap::view(asks ? "user" : "assistant", Origin::untrusted));
    heap.set(message,
             ValueHeap::view("content", Origin::untrusted),
             heap.text((asks ? question : answer) + std::to_string(i), Origin::untrusted));
    heap.append(messages, Value::of(message));
  }
  return Value::of(messages);
}

void fail(const std::string& message) {
  std::fprintf(stderr, "template_bench: %s\n", message.c_str());
  std::exit(1);
}

template <class Work>
double median_milliseconds(int rounds, Work work) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    auto begin = std::chrono::steady_clock::now();
    work();
    std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    times.push_back(time.count());
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<std::size_t>(rounds) / 2];
}

void measure(const std::string& name, std::string_view text, int rounds) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(text, name);
  if (!parsed) fail(parsed.error().message);
  ValueHeap heap;
  ChatInputs inputs;
  inputs.messages = conversation(heap);
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  inputs.add_generation_prompt = false;  // the conversation ends in an answer
  std::size_t bytes = 0;
  double render = median_milliseconds(rounds, [&] {
    Result<Prompt> prompt = parsed->render(inputs);
    if (!prompt) fail(prompt.error().message);
    bytes = prompt->text.size();
  });
  double parse = median_milliseconds(rounds, [&] {
    if (!ChatTemplate::parse(text, name)) fail("does not parse twice");
  });
  std::printf("render %-24s %8.3f ms %.2f %.3f   %zu bytes\n",
              name.c_str(),
              render,
              kGoalMilliseconds,
              render / kGoalMilliseconds,
              bytes);
  std::printf("parse  %-24s %8.3f ms\n", name.c_str(), parse);
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path + "; run it in the root of the repository");
  return {std::istreambuf_iterator<char>(file), {}};
}

int run(int argc, char** argv) {
  int rounds = 200;
  if (argc == 3 && std::string_view(argv[1]) == "--rounds") rounds = std::atoi(argv[2]);
  if (rounds < 1) fail("--rounds is at least 1");
  std::printf(
      "%d messages, median of %d rounds, lines: name value unit goal ratio\n", kMessages, rounds);
  for (const jinja::BuiltinTemplate& each : jinja::builtin_templates())
    measure(std::string(each.name), each.text, rounds);
  for (const char* name : {"qwen25_tools", "qwen3_thinking", "mistral_v3_tools"})
    measure(name, read(std::string("tests/golden/templates/") + name + ".jinja"), rounds);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return sluice::bench::run(argc, argv);
}
