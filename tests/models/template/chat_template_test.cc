// What ChatTemplate promises beside what jinja2 would print: errors, bounds, continuations, and
// what it knows of a template.
#include "models/template/chat_template.h"

#include "tests/models/template/chat_inputs.h"

#include <string>
#include <thread>
#include <vector>

namespace sluice::jinja {
namespace {

constexpr std::string_view kHello = R"([{"role":"user","content":"hello"}])";

Error parse_error(std::string_view text) {
  Result<ChatTemplate> result = ChatTemplate::parse(text, "mine");
  EXPECT_FALSE(result) << text;
  return result ? Error{} : result.error();
}

Error render_error(std::string_view text, const ChatTemplate::Limits& limits = {}) {
  TestInputs test(kHello);
  Result<Prompt> result = parsed(text).render(test.inputs, limits);
  EXPECT_FALSE(result) << text;
  return result ? Error{ErrorCode::none, result->text.substr(0, 100)} : result.error();
}

void expect_contains(const Error& error, ErrorCode code, const std::string& part) {
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
}

TEST(ChatTemplate, NamesTheLineAndWhatIsExpectedWhereItCannotBeRead) {
  Error error = parse_error("a\nb\n{% if x %}\n{{ 1 + }}");

  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_EQ(error.message, "chat template 'mine', line 4: expected an expression, found '}}'");
  expect_contains(parse_error("{% if x %}\n\n"), ErrorCode::invalid_argument, "endif");
  expect_contains(parse_error("{% fro x in y %}"), ErrorCode::invalid_argument, "no tag 'fro'");
  expect_contains(parse_error("{{ x | nothing }}"), ErrorCode::invalid_argument, "'nothing'");
  expect_contains(
      parse_error("{{ 99999999999999999999 }}"), ErrorCode::invalid_argument, "64 bits");
  expect_contains(parse_error("a\xFF"), ErrorCode::invalid_argument, "UTF-8 at byte 1");
  expect_contains(
      parse_error(std::string((1 << 20) + 1, 'x')), ErrorCode::invalid_argument, "1048577");
}

TEST(ChatTemplate, NamesWhatIsNotSupported) {
  expect_contains(parse_error("{% for x in y recursive %}{% endfor %}"),
                  ErrorCode::invalid_argument,
                  "recursive");
  expect_contains(parse_error("{{ f(*x) }}"), ErrorCode::invalid_argument, "'*'");
  expect_contains(parse_error("{% include 'x' %}"), ErrorCode::invalid_argument, "include");
  expect_contains(parse_error("{% extends 'x' %}"), ErrorCode::invalid_argument, "extends");
  expect_contains(parse_error("{{ '\\N{BULLET}' }}"), ErrorCode::invalid_argument, "\\N");
}

TEST(ChatTemplate, TellsTheConversationsFaultFromTheTemplates) {
  Error raised = render_error("{{ raise_exception('roles have to alternate') }}");
  EXPECT_EQ(raised.code, ErrorCode::invalid_argument);
  EXPECT_EQ(raised.message, "roles have to alternate");

  Error undefined = render_error("\n{{ nothing.x }}");
  EXPECT_EQ(undefined.code, ErrorCode::internal);
  EXPECT_EQ(undefined.message, "chat template 'test', line 2: 'nothing' is undefined");

  expect_contains(render_error("{{ 9223372036854775807 + 1 }}"), ErrorCode::internal, "64-bit");
  expect_contains(render_error("{{ 2 ** 63 }}"), ErrorCode::internal, "64-bit");
  expect_contains(render_error("{{ -(-9223372036854775807 - 1) }}"), ErrorCode::internal, "64-bit");
  expect_contains(
      render_error("{{ (-9223372036854775807 - 1) // -1 }}"), ErrorCode::internal, "64-bit");
  expect_contains(render_error("{{ 1e300 | int }}"), ErrorCode::internal, "64-bit");
  expect_contains(render_error("{{ (-8) ** 0.5 }}"), ErrorCode::internal, "complex");
  expect_contains(render_error("{{ range(1000001) }}"), ErrorCode::resource_exhausted, "100000");
}

TEST(ChatTemplate, EndsTemplatesThatTakeTooLong) {
  std::string loops =
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";

  expect_contains(render_error(loops), ErrorCode::resource_exhausted, "1000000 steps");
  ChatTemplate::Limits few;
  few.steps_max = 10;
  expect_contains(render_error("{{ 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 }}", few),
                  ErrorCode::resource_exhausted,
                  "10 steps");
}

TEST(ChatTemplate, BoundsItsOutput) {
  ChatTemplate::Limits limits;
  limits.output_bytes_max = 10;
  TestInputs test(kHello);

  EXPECT_TRUE(parsed("0123456789").render(test.inputs, limits));
  expect_contains(render_error("01234567890", limits), ErrorCode::resource_exhausted, "10 bytes");
  expect_contains(render_error("{% for x in range(9) %}ab{% endfor %}", limits),
                  ErrorCode::resource_exhausted,
                  "10 bytes");
}

TEST(ChatTemplate, BoundsTheMemoryOfItsValues) {
  const std::vector<std::string> hungry = {
      "{{ 'x' * 1000000000 }}",
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [0] * 1000000000 }}",
      "{{ [0, 1] * 9223372036854775807 }}",
      "{{ 'a' | indent(1000000000, true) }}",
      "{{ [1] | tojson(indent=1000000000) }}",
      "{% set ns = namespace(s='0123456789') %}{% for i in range(60) %}"
      "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(s=['x']) %}{% for i in range(60) %}"
      "{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s='aa') %}{% for i in range(60) %}"
      "{% set ns.s = ns.s.replace('a', 'aa') %}{% endfor %}",
      "{% set ns = namespace(s='aa') %}{% for i in range(60) %}"
      "{% set ns.s = [ns.s, ns.s] | join(ns.s) %}{% endfor %}",
      "{% set ns = namespace(s='aa') %}{% for i in range(60) %}"
      "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
      "{% set x = 'y' * 9000000 %}{% macro f() %}{{ x }}{{ f() }}{% endmacro %}{{ f() }}",
      "{% set x = [1, 2, 3] %}{% for i in x %}{% set _ = x.append(x) %}{% endfor %}{{ x }}",
  };
  for (const std::string& text : hungry)
    EXPECT_EQ(render_error(text).code, ErrorCode::resource_exhausted)
        << text << ": " << render_error(text).message;
}

TEST(ChatTemplate, BoundsNestingWhereverItGrows) {
  auto repeated = [](const std::string& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i)
      text += part;
    return text;
  };
  for (const char* part :
       {"(", "[", "{1:", "not ", "-", "f(", "x[", "x|default(", "1 if 1 else ", "x is in ["})
    expect_contains(
        parse_error("{{ " + repeated(part, 1 << 16)), ErrorCode::invalid_argument, "64 levels");
  expect_contains(parse_error("{{ 1" + repeated(" if 1", 1 << 16) + " }}"),
                  ErrorCode::invalid_argument,
                  "64 conditions");
  for (const char* tag : {"{% if x %}", "{% for x in y %}", "{% set x %}", "{% filter e %}"})
    expect_contains(parse_error(repeated(tag, 1 << 15)), ErrorCode::invalid_argument, "64 levels");
  expect_contains(
      parse_error("{% for " + repeated("(", 1 << 16)), ErrorCode::invalid_argument, "64 levels");

  // Chains are no nesting.
  TestInputs test(kHello);
  for (const char* part : {" + 1", " ~ 1", " or 1", " and 1", " == 1", " | abs"})
    EXPECT_TRUE(parsed("{{ 1" + repeated(part, 10'000) + " }}").render(test.inputs)) << part;
}

TEST(ChatTemplate, BoundsTheRecursionOfMacrosAndValues) {
  expect_contains(render_error("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
                  ErrorCode::resource_exhausted,
                  "64 levels");
  std::string nested =
      "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100) %}"
      "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}";
  for (const char* use :
       {"{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x == ns.y }}", "{{ ns.x < ns.y }}"})
    expect_contains(render_error(nested + use), ErrorCode::resource_exhausted, "64 levels");
  // A value that doubles at each level is as large as 2^n although it takes n lists.
  std::string doubled =
      "{% set ns = namespace(x=[], y=[]) %}{% for i in range(40) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
  for (const char* use : {"{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x == ns.y }}"})
    EXPECT_EQ(render_error(doubled + use).code, ErrorCode::resource_exhausted) << use;
}

TEST(ChatTemplate, LeavesInputsAsTheyAre) {
  expect_contains(render_error("{% set _ = messages.append(1) %}"), ErrorCode::internal, "append");
  EXPECT_EQ(rendered("{% set l = [] %}{% set _ = l.append(1) %}{{ l }}{{ _ }}"), "[1]None");
  EXPECT_EQ(
      rendered("{% set l = messages | list %}{% set _ = l.append(1) %}{{ l | length }}", kHello),
      "2");
}

TEST(ChatTemplate, HidesNamesThatBeginWithAnUnderscore) {
  for (const char* name : {"__class__", "_x", "__init__"}) {
    EXPECT_EQ(rendered(std::string("{{ messages.") + name + " is defined }}"), "False");
    EXPECT_EQ(rendered(std::string("{{ ''['") + name + "'] is defined }}"), "False");
    EXPECT_EQ(rendered(std::string("{{ {'") + name + "': 1}." + name + " is defined }}"), "False");
  }
}

TEST(ChatTemplate, RefusesReservedVariables) {
  for (const char* name :
       {"messages", "tools", "bos_token", "eos_token", "add_generation_prompt"}) {
    TestInputs test(kHello);
    test.inputs.variables = test.value(std::string("{\"") + name + "\": 1}");

    Result<Prompt> result = parsed("x").render(test.inputs);

    ASSERT_FALSE(result);
    expect_contains(result.error(), ErrorCode::invalid_argument, name);
    EXPECT_TRUE(ChatTemplate::is_reserved(name));
  }
  EXPECT_FALSE(ChatTemplate::is_reserved("enable_thinking"));
}

TEST(ChatTemplate, RefusesMessagesOfTheWrongShape) {
  for (std::string_view messages : {"{}", "[1]", "[[]]", "\"x\"", "null"}) {
    TestInputs test(messages);
    Result<Prompt> result = parsed("x").render(test.inputs);
    ASSERT_FALSE(result) << messages;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(result.error().message.find("messages"), std::string::npos);
  }
}

TEST(ChatTemplate, ReadsNoClock) {
  TestInputs test(kHello);
  ChatTemplate text = parsed("{{ strftime_now('%d %b %Y %H:%M:%S') }}");

  EXPECT_EQ(text.render(test.inputs)->text, "26 Jul 2024 06:05:09");
  test.inputs.unix_seconds = 0;
  EXPECT_EQ(text.render(test.inputs)->text, "01 Jan 1970 00:00:00");
  test.inputs.unix_seconds = INT64_MAX;
  EXPECT_EQ(text.render(test.inputs).error().code, ErrorCode::internal);
}

TEST(ChatTemplate, KnowsWhetherItReadsTools) {
  EXPECT_FALSE(parsed("{{ messages }}").knows_tools());
  EXPECT_TRUE(parsed("{% if tools %}x{% endif %}").knows_tools());
  EXPECT_TRUE(parsed("{% for t in x %}{{ f(a=[tools[0]]) }}{% endfor %}").knows_tools());
  EXPECT_TRUE(parsed("{% macro f(x=tools) %}{% endmacro %}").knows_tools());
  EXPECT_TRUE(parsed("{% set x %}{{ 1 if 2 is in(tools) }}{% endset %}").knows_tools());
  EXPECT_FALSE(parsed("{% macro f(tools) %}{{ tools }}{% endmacro %}").knows_tools());
  EXPECT_FALSE(parsed("{# tools #}tools{{ 'tools' }}{{ x.tools }}{{ f(tools=1) }}").knows_tools());
}

TEST(ChatTemplate, KnowsWhetherItTreatsToolMessages) {
  EXPECT_FALSE(parsed("{{ m.role }}{{ 'tool' }}").knows_tool_messages());
  EXPECT_TRUE(parsed("{{ m.role == 'tool' }}").knows_tool_messages());
  EXPECT_TRUE(parsed("{% if 'tool' != m['role'] %}{% endif %}").knows_tool_messages());
  EXPECT_TRUE(parsed("{{ m.role in ['x', 'tool'] }}").knows_tool_messages());
  EXPECT_TRUE(parsed("{{ m.role is equalto 'tool' }}").knows_tool_messages());
  EXPECT_TRUE(parsed("{{ x | selectattr('role', 'eq', 'tool') | list }}").knows_tool_messages());
  EXPECT_TRUE(parsed("{{ {'tool': 'x'}[m.role] }}").knows_tool_messages());
  EXPECT_FALSE(parsed("{{ m.role == 'tools' }}").knows_tool_messages());
}

TEST(ChatTemplate, FindsByTrialWhetherItWantsParts) {
  EXPECT_FALSE(parsed("{% for m in messages %}{{ m.content }}{% endfor %}").wants_parts());
  EXPECT_TRUE(
      parsed("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}")
          .wants_parts());
  EXPECT_TRUE(
      parsed("{% for m in messages %}{{ m.content[0]['text'] }}{% endfor %}").wants_parts());
  EXPECT_TRUE(
      parsed("{% for m in messages %}{{ m.content | map(attribute='text') | join }}{% endfor %}")
          .wants_parts());
  // Knows both: strings are simpler.
  EXPECT_FALSE(parsed("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
                      "{{ m.content[0].text }}{% endif %}{% endfor %}")
                   .wants_parts());
  // Insists on a system message.
  EXPECT_TRUE(parsed("{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}"
                     "{{ messages[1].content[0].text }}")
                  .wants_parts());
  EXPECT_FALSE(parsed("{{ messages | tojson }}").wants_parts());
  EXPECT_FALSE(parsed("nothing at all").wants_parts());
  EXPECT_FALSE(parsed("{{ raise_exception('never') }}").wants_parts());
}

constexpr std::string_view kFrames =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

std::string continued(std::string_view text, std::string_view messages) {
  TestInputs test(messages);
  test.inputs.add_generation_prompt = false;
  test.inputs.continue_final_message = true;
  Result<Prompt> prompt = parsed(text).render(test.inputs);
  return prompt ? marked(*prompt) : "error: " + prompt.error().message;
}

TEST(ChatTemplate, EndsRightBehindAContentThatIsContinued) {
  EXPECT_EQ(
      continued(kFrames, R"([{"role":"user","content":"1"},{"role":"assistant","content":"2"}])"),
      "<user>[1]</><assistant>[2]");
  EXPECT_EQ(continued(kFrames, R"([{"role":"assistant","content":"a b "}])"), "<assistant>[a b ]");
  EXPECT_EQ(continued(kFrames, R"([{"role":"assistant","content":""}])"), "<assistant>");
  EXPECT_EQ(
      continued(kFrames, R"([{"role":"user","content":"x"},{"role":"assistant","content":"x"}])"),
      "<user>[x]</><assistant>[x]");
}

TEST(ChatTemplate, ContinuesWhereTheTemplateStripsContents) {
  constexpr std::string_view kTrims =
      "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}";

  EXPECT_EQ(continued(kTrims, R"([{"role":"assistant","content":" a b \n"}])"), "<assistant>[a b]");
  EXPECT_EQ(continued(kTrims, R"([{"role":"assistant","content":" a b"}])"), "<assistant>[a b]");
}

TEST(ChatTemplate, KeepsWhatTheTemplateWritesBeforeAnEmptyContent) {
  constexpr std::string_view kTrims =
      "{% for m in messages %}{{ m.role ~ ' \n' ~ m.content | trim }};{% endfor %}";

  EXPECT_EQ(continued(kTrims, R"([{"role":"assistant","content":""}])"), "assistant \n");
  EXPECT_EQ(continued(kTrims, R"([{"role":"assistant","content":" \n "}])"), "assistant \n");
}

TEST(ChatTemplate, ContinuesTheLastTextOfParts) {
  EXPECT_EQ(
      continued(
          "{% for m in messages %}{% for p in m.content %}({{ p.text }}){% endfor %}{% endfor %}",
          R"([{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
      "([a])([b]");
}

TEST(ChatTemplate, ContinuesTheLastPlaceOfAContent) {
  EXPECT_EQ(continued("{{ messages[0].content }}-{{ messages[0].content }}-",
                      R"([{"role":"assistant","content":"a"}])"),
            "[a]-[a]");
}

TEST(ChatTemplate, RefusesToContinueWhatTheTemplateDoesNotShow) {
  auto refused = [](std::string_view text, std::string_view messages) {
    std::string result = continued(text, messages);
    EXPECT_TRUE(result.starts_with("error: continue_final_message")) << result;
  };
  refused("nothing", kHello);
  refused("{{ messages[0].content | upper }}", kHello);
  refused("{{ messages[0].content[:2] }}", kHello);
  refused(kFrames, "[]");
  refused(kFrames, R"([{"role":"assistant"}])");
  refused(kFrames, R"([{"role":"assistant","content":null}])");
  refused(kFrames, R"([{"role":"assistant","content":[{"type":"image"}]}])");

  TestInputs both(kHello);
  both.inputs.continue_final_message = true;
  Result<Prompt> result = parsed(kFrames).render(both.inputs);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
}

TEST(ChatTemplate, IsRenderedByManyThreadsAtOnce) {
  ChatTemplate shared = parsed(
      "{% macro f(x) %}[{{ x | upper }}]{% endmacro %}{% set ns = namespace(t='') %}"
      "{% for m in messages %}{% set ns.t = ns.t ~ f(m.content) %}{% endfor %}{{ ns.t }}"
      "{{ messages | tojson }}");
  TestInputs test(kHello);
  std::string expected = shared.render(test.inputs)->text;

  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (std::string& result : results)
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i)
        result = shared.render(test.inputs)->text;
    });
  for (std::thread& thread : threads)
    thread.join();

  for (const std::string& result : results)
    EXPECT_EQ(result, expected);
}

// Cut at every byte, and with every byte replaced by some that mean something: a text or an error.
TEST(ChatTemplate, SurvivesDamagedTemplates) {
  const std::string whole =
      "{% macro f(a, b=1) %}{{ a ~ b }}{% endmacro %}{%- for m in messages[1:] if m.x is not none "
      "-%}"
      "{{ f(m.content | trim)|replace('\\u00e9', \"x\") }}{% else %}{# c #}{% set x, y = (1, {2: "
      "[3]}) %}"
      "{{ x if y[2][0] >= 1.5e3 and not '' else -7 // 2 }}é{% endfor %}{% raw %}{{{% endraw %}";
  TestInputs test(kHello);
  ChatTemplate::Limits limits;
  limits.steps_max = 10'000;
  std::size_t readable = 0;
  auto attempt = [&](const std::string& text) {
    Result<ChatTemplate> result = ChatTemplate::parse(text, "damaged");
    if (!result) {
      EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
      EXPECT_FALSE(result.error().message.empty());
      return;
    }
    ++readable;
    (void)result->render(test.inputs, limits);
  };

  attempt(whole);
  ASSERT_EQ(readable, 1U) << "the template is fine before it is damaged";
  for (std::size_t i = 0; i < whole.size(); ++i) {
    attempt(whole.substr(0, i));
    attempt(whole.substr(i));
    attempt(whole.substr(0, i) + whole.substr(i + 1));
    for (char c : std::string_view("{}%()[]|'\"\\-+.,:=#x0 \n\xC3\x00", 24)) {
      std::string changed = whole;
      changed[i] = c;
      attempt(changed);
    }
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    attempt(flipped);
  }
  EXPECT_GT(readable, 100U);
}

}  // namespace
}  // namespace sluice::jinja
