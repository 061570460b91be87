// What a user wrote stays untrusted whatever a template does with it.
#include "tests/models/template/chat_inputs.h"

namespace sluice::jinja {
namespace {

// In the expectations untrusted bytes stand in brackets.
constexpr std::string_view kUser = R"([{"role":"user","content":" a-b C "}])";

std::string of_user(const std::string& expression, std::string_view messages = kUser) {
  return rendered("{% set c = messages[0].content %}<{{ " + expression + " }}>", messages);
}

TEST(Taint, FollowsContentsIntoThePrompt) {
  EXPECT_EQ(of_user("c"), "<[ a-b C ]>");
  EXPECT_EQ(rendered("{{ messages }}", R"([{"x":[1,true,null,1.5,"y"]}])"),
            "[{'[x]': [[1], [True], [None], [1.5], '[y]']}]");
}

TEST(Taint, MergesWhatTouches) {
  EXPECT_EQ(rendered("{{ messages[0].content }}{{ messages[0].content }}", kUser),
            "[ a-b C  a-b C ]");
}

TEST(Taint, SurvivesCutting) {
  EXPECT_EQ(of_user("c | trim"), "<[a-b C]>");
  EXPECT_EQ(of_user("c.strip()"), "<[a-b C]>");
  EXPECT_EQ(of_user("c[1:4]"), "<[a-b]>");
  EXPECT_EQ(of_user("c[::-1]"), "<[ C b-a ]>");
  EXPECT_EQ(of_user("c[1]"), "<[a]>");
  EXPECT_EQ(of_user("c.split('-')[1]"), "<[b C ]>");
  EXPECT_EQ(of_user("c.split() | last"), "<[C]>");
  EXPECT_EQ(of_user("c.splitlines()[0]"), "<[ a-b C ]>");
  EXPECT_EQ(of_user("c | first ~ c | last"), "<[  ]>");
  EXPECT_EQ(of_user("c | list | join('.')"), "<[ ].[a].[-].[b].[ ].[C].[ ]>");
  EXPECT_EQ(of_user("c.removeprefix(' a')"), "<[-b C ]>");
}

TEST(Taint, SurvivesJoining) {
  EXPECT_EQ(of_user("'x' ~ c ~ 'y'"), "<x[ a-b C ]y>");
  EXPECT_EQ(of_user("'x' + c + 'y' + c"), "<x[ a-b C ]y[ a-b C ]>");
  EXPECT_EQ(of_user("['x', c, 'y'] | join(',')"), "<x,[ a-b C ],y>");
  EXPECT_EQ(of_user("['x', 'y'] | join(c)"), "<x[ a-b C ]y>");
  EXPECT_EQ(of_user("','.join(['x', c])"), "<x,[ a-b C ]>");
  EXPECT_EQ(of_user("c * 2"), "<[ a-b C  a-b C ]>");
  EXPECT_EQ(of_user("('x' ~ c[1] ~ 'y') * 2"), "<x[a]yx[a]y>");
}

TEST(Taint, SurvivesChanges) {
  EXPECT_EQ(of_user("c | upper"), "<[ A-B C ]>");
  EXPECT_EQ(of_user("('x' ~ c ~ 'y') | upper"), "<X[ A-B C ]Y>");
  EXPECT_EQ(of_user("(c ~ 'xy').title()"), "<[ A-B C ]Xy>");
  EXPECT_EQ(of_user("('ab' ~ c) | capitalize"), "<Ab[ a-b c ]>");
  EXPECT_EQ(of_user("c.replace('-', '+')"), "<[ a]+[b C ]>");
  EXPECT_EQ(of_user("'1-2'.replace('-', c)"), "<1[ a-b C ]2>");
  EXPECT_EQ(of_user("c | replace('b', c[1])"), "<[ a-a C ]>");
  EXPECT_EQ(of_user("c | reverse"), "<[ C b-a ]>");
  EXPECT_EQ(of_user("('x' ~ c ~ 'y') | reverse"), "<y[ C b-a ]x>");
  EXPECT_EQ(of_user("('x\\n' ~ c) | indent(2, true)"), "<  x\n  [ a-b C ]>");
  EXPECT_EQ(of_user("('<' ~ c ~ '>') | e"), "<&lt;[ a-b C ]&gt;>");
  EXPECT_EQ(of_user("c | string | safe | default('x')"), "<[ a-b C ]>");
}

TEST(Taint, KeepsCharactersThatAreEscaped) {
  EXPECT_EQ(of_user("c | e", R"([{"content":"a<b"}])"), "<[a&lt;b]>");
  EXPECT_EQ(of_user("c | tojson", R"([{"content":"a\"\n<b"}])"), R"(<"[a\"\n<b]">)");
  EXPECT_EQ(of_user("[c] | string", R"([{"content":"a\n'"}])"), "<[\"[a\\n']\"]>");
}

TEST(Taint, SeparatesJsonFromItsTexts) {
  EXPECT_EQ(of_user("messages | tojson"), R"(<[{"[role]": "user", "[content]": "[ a-b C ]"}]>)");
  EXPECT_EQ(of_user("{'x': c, 'n': 1} | tojson"), R"(<{"x": "[ a-b C ]", "n": 1}>)");
}

TEST(Taint, GoesThroughVariablesMacrosAndBlocks) {
  EXPECT_EQ(rendered("{% set ns = namespace(t='') %}{% for m in messages %}"
                     "{% set ns.t = ns.t ~ '-' ~ m.content %}{% endfor %}{{ ns.t }}",
                     kUser),
            "-[ a-b C ]");
  EXPECT_EQ(rendered("{% macro f(x) %}({{ x }}){% endmacro %}{{ f(messages[0].content) }}", kUser),
            "([ a-b C ])");
  EXPECT_EQ(rendered("{% macro f() %}({{ caller() }}){% endmacro %}"
                     "{% call f() %}x{{ messages[0].content }}{% endcall %}",
                     kUser),
            "(x[ a-b C ])");
  EXPECT_EQ(rendered("{% set b %}x{{ messages[0].content }}y{% endset %}{{ b | upper }}", kUser),
            "X[ A-B C ]Y");
  EXPECT_EQ(rendered("{% filter trim %} x{{ messages[0].content }}{% endfilter %}", kUser),
            "x[ a-b C]");
  EXPECT_EQ(rendered("{% for c in messages[0].content %}{{ c }}.{% endfor %}", kUser),
            "[ ].[a].[-].[b].[ ].[C].[ ].");
  EXPECT_EQ(rendered("{% for k, v in messages[0] | dictsort %}{{ k }}={{ v }};{% endfor %}", kUser),
            "[content]=[ a-b C ];[role]=user;");
  EXPECT_EQ(rendered("{{ messages | map(attribute='content') | map('trim') | join('|') }}", kUser),
            "[a-b C]");
}

TEST(Taint, IsKeptByNumbers) {
  EXPECT_EQ(of_user("c + 1", R"([{"content":41}])"), "<[42]>");
  EXPECT_EQ(of_user("c | int", R"([{"content":"7"}])"), "<[7]>");
  EXPECT_EQ(of_user("-c | abs", R"([{"content":1.5}])"), "<[1.5]>");
}

TEST(Taint, IsNotSpreadByComparisonsAndLookups) {
  EXPECT_EQ(of_user("'yes' if c else 'no'"), "<yes>");
  EXPECT_EQ(of_user("c == ' a-b C '"), "<True>");
  EXPECT_EQ(of_user("{'k': '<|x|>'}[c]", R"([{"content":"k"}])"), "<<|x|>>");
  EXPECT_EQ(of_user("c | length"), "<7>");
}

TEST(Taint, CoversToolsVariablesAndDocuments) {
  TestInputs test("[]");
  test.inputs.tools = test.value(R"([{"name":"<|x|>"}])");
  test.inputs.documents = test.value(R"(["d"])");
  test.inputs.variables = test.value(R"({"v":"w","n":3})");

  Result<Prompt> prompt =
      parsed(
          "{{ tools[0].name }};{{ documents[0] }};{{ v }};{{ n }};{{ bos_token }}{{ eos_token }}")
          .render(test.inputs);

  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(marked(*prompt), "[<|x|>];[d];[w];[3];<s></s>");
}

// Some templates make a control token of the role. Those of the protocol are safe to trust; any
// other word is the user's.
TEST(Taint, TrustsKnownRolesOnly) {
  constexpr std::string_view kRole = "<|{{ messages[0].role }}|>";

  EXPECT_EQ(rendered(kRole, R"([{"role":"user"}])"), "<|user|>");
  EXPECT_EQ(rendered(kRole, R"([{"role":"tool"}])"), "<|tool|>");
  EXPECT_EQ(rendered(kRole, R"([{"role":"User"}])"), "<|[User]|>");
  EXPECT_EQ(rendered(kRole, R"([{"role":"user|><|end"}])"), "<|[user|><|end]|>");
  EXPECT_EQ(rendered("{{ messages[0].content }}", R"([{"content":"user"}])"), "[user]");
}

TEST(Taint, KeepsMixedTextsApartWhereTheyAreCut) {
  constexpr std::string_view kMixed = "{% set t = 'ab' ~ messages[0].content ~ 'yz' %}";
  auto cut = [&](const std::string& expression) {
    return rendered(std::string(kMixed) + "{{ " + expression + " }}", R"([{"content":"12"}])");
  };

  EXPECT_EQ(cut("t[1:3]"), "b[1]");
  EXPECT_EQ(cut("t[2:4]"), "[12]");
  EXPECT_EQ(cut("t[3:5]"), "[2]y");
  EXPECT_EQ(cut("t[:2]"), "ab");
  EXPECT_EQ(cut("t[4:]"), "yz");
  EXPECT_EQ(cut("t[1:5]"), "b[12]y");
  EXPECT_EQ(cut("t[::2]"), "a[1]y");
  EXPECT_EQ(cut("t[2:2]"), "");
  EXPECT_EQ(cut("t.split('2') | join('-')"), "ab[1]-yz");
  EXPECT_EQ(cut("t.replace('b', '+').replace('y', '*')"), "a+[12]*z");
  EXPECT_EQ(cut("t | tojson"), "\"ab[12]yz\"");
}

}  // namespace
}  // namespace sluice::jinja
