"""Small pieces of template, each of which looks at one detail of the language. See make_template_golden.py."""
import itertools

MESSAGES = [
    {"role": "system", "content": "Sys"},
    {"role": "user", "content": "Hällo wörld"},
    {"role": "assistant", "content": " line one\nline two "},
]
VARIABLES = {
    "n": 7, "f": 2.5, "yes": True, "no": False, "nil": None, "s": "  Some Text ", "empty": "", "u": "äß€😀ﬁΣ",
    "xs": [3, 1, 2], "words": ["beta", "Alpha", "gamma", "alpha"], "d": {"b": 1, "a": [1, {"x": "y"}], "C": None},
    "users": [{"name": "Bo", "age": 30, "city": {"zip": "2"}}, {"name": "al", "age": 25, "city": {"zip": "1"}},
              {"name": "Cy", "age": 30, "city": {"zip": "2"}}],
    "big": 9007199254740993, "_private": 1,
    "json": {"t": "é\"\\/\b\f\n\r\t\x00\x1f\x7f\u2028😀<&>'", "n": [1, -2, 1.0, 1e22, 1.5e-9, True, False, None], "e": {},
             "l": []},
}


def prints(*expressions):
    return ["{{ " + expression + " }}" for expression in expressions]


ARITHMETIC = prints(
    "1 + 2 * 3", "(1 + 2) * 3", "2 ** 3 ** 2", "-2 ** 2", "2 ** -1", "2 ** 0.5", "7 // 2", "-7 // 2", "7 // -2", "-7 // -2",
    "7 % 3", "-7 % 3", "7 % -3", "-7 % -3", "7.5 // 2", "-7.5 // 2", "7.5 % 2", "-7.5 % 2", "7.5 % -2", "6 / 3", "7 / 2",
    "1 / 3", "2 / 3 * 3", "1e16", "1e15", "123456789012345680.0", "1e-4", "1e-5", "0.1 + 0.2", "1.0", "100.0 * 3", "1e22",
    "1.5e300 * 1e10", "5 - 3 - 1", "5 - (3 - 1)", "1 - -1", "- - 1", "+3", "-n", "+f", "n / 0", "n // 0", "n % 0", "f / 0",
    "0 ** -1", "true + true", "true * 3", "-true", "1 + 1.0", "3 * 'ab'", "'ab' * 3", "'ab' * -1", "'ab' * 0", "[1] * 3",
    "2 * [1, 2]", "(1,) * 2", "[1] + [2]", "(1,) + (2,)", "[1] + (2,)", "'a' + 'b'", "'a' + 1", "1 + 'a'", "none + 1",
    "'a' - 'b'", "missing + 1", "1 ~ 2", "'a' ~ none ~ true ~ 1.0 ~ [1, 'x'] ~ missing", "1 + 2 ~ 3 * 4", "2 * 3 ~ 4",
    "1 ~ 2 + 3", "10 // 3 * 3 + 10 % 3", "big", "big + 1", "2 ** 62", "2 ** 31 * 2", "0b101", "0o17", "0xfF", "1_000",
    "0x_ff", "0", "00", "1.5e3", "1e3", "1E3", "1e+3", "1_0.2_5", "3.0 ** 2", "0.5 ** 3", "-0.0", "0.0", "1 if yes else 2",
    "5 % 2 == 1", "2 ** 3 * 2", "-3 | abs", "(-3) | abs", "- 3 | string", "-f | round", "1 +1", "1 -1",
    "1+-1", "not 1 + 1", "2 if not n else 3", "3.7 // 1", "1e308 * 10", "1 / 3.0", "100000000000000000000.0", "12345.678e-10",
)
COMPARISONS = prints(
    "1 == 1.0", "1 == true", "0 == false", "1 == '1'", "none == false", "none == none", "missing == missing",
    "missing == none", "'a' == 'a'", "[1, 2] == [1, 2]", "[1, 2] == (1, 2)", "(1, 2) == (1, 2)", "{'a': 1} == {'a': 1.0}",
    "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "1 != 2", "1 < 2 < 3", "1 < 3 < 2", "3 > 2 > 1", "1 == 1 == 1", "1 < 2 == true",
    "'a' < 'b'", "'B' < 'a'", "'a' < 'ab'", "'ä' < 'z'", "[1, 2] < [1, 3]", "[1] < [1, 0]", "(1, 'a') < (1, 'b')", "1 < 'a'",
    "none < 1", "missing < 1", "1 < missing", "[1] < (2,)", "{} < {}", "true < 2", "1.5 < 2", "big == big + 0.0",
    "big > 9007199254740992.0", "1 <= 1", "1 >= 2", "'a' in 'abc'", "'' in 'abc'", "'x' in 'abc'", "1 in [1, 2]",
    "'1' in [1]", "1.0 in [1]", "'a' in {'a': 1}", "1 in {'a': 1}", "'a' in missing", "1 in 'abc'", "1 in 5",
    "none in [none]", "'a' not in 'abc'", "not 'a' in 'abc'", "1 not in [2]", "2 in (1, 2)", "2 in range(3)", "5 in range(3)",
    "'a' in d", "'a' in d.keys()", "1 in d.values()", "('b', 1) in d.items()", "missing in [1]", "[1] in [[1], 2]",
    "1 in [1] in [[1]]", "2 == 2 and 3", "0 or 'x'", "'' or 0", "1 and 0 or 2", "not 0", "not missing", "not not 'a'",
    "not none == none", "yes and no or yes", "0 or missing or 'end'", "true and missing", "range(3) == range(3)",
    "range(0) == range(2, 2)", "'a' in ['a', 'b'] and 'b' in 'abc'",
)
LITERALS = prints(
    "'a\\nb'", "'\\t|\\\\|\\'|\\\"'", "\"it's\"", "'\\x41\\u00e9\\U0001f600\\101'", "'\\q'", "'a' 'b' \"c\"", "'\\\nx'",
    "'\\é'", "'\\€'", "'\\😀'", "'\\0'", "'\\1012'", "'é😀'", "\"{{ not a tag }}\"", "'%}'", "'}}'", "[]", "()", "{}", "(1,)",
    "(1)", "(1, 2)", "1, 2", "1,", "[1, 2,]", "{'a': 1,}", "{1: 'x', 1.0: 'y', true: 'z'}", "{'a': 1, 'a': 2}",
    "{none: 1, false: 2}", "[1, [2, (3,)], {'a': none}]", "true, True, false, False, none, None", "{'a': {'b': {}}}",
    "'' ", "['it\\'s', \"say \\\"x\\\"\", 'both\\'\"', '\\n\\t\\r\\\\', '\\x00\\x7f\\x80', 'é', '\\u200b', '\\u2028', '😀']",
    "[u]", "{'k': u}", "{'a': missing}", "[missing]", "[none, true, 1.0]", "{[1]: 2}", "{{}: 1}", "'\\u12'", "'\\xg1'",
    "'\\ud800'", "'unterminated", "1.", ".5", "1..real", "01", "1a", "0x", "1__0", "9223372036854775807",
    "-9223372036854775808 + 0" if False else "-9223372036854775807", "'\\N{BULLET}'" if False else "'\\n'",
)
ACCESS = prints(
    "d.b", "d['b']", "d.a[1].x", "d.a.1.x", "d['a'][0]", "d.nothing", "d['nothing']", "d.nothing.more", "d['nothing']['more']",
    "missing", "missing.x", "missing['x']", "missing[0]", "missing()", "nil.x", "nil['x']", "nil[0]", "n.x", "n[0]",
    "messages[0].role", "messages[0]['role']", "messages[-1].role", "messages[99]", "messages[-99]", "messages['0']",
    "messages.0.role", "messages[true].role", "messages[1.0]", "s[2]", "s[-2]", "s[100]", "u[1]", "u[-1]", "u[3]", "u.0",
    "u[1:3]", "u[::-1]", "u[-2:]", "u[:2]", "u[::2]", "u[4:1:-1]", "u[10:]", "u[-10:2]", "u[:-10]", "u[1:1]", "u[::3]",
    "xs[1:]", "xs[:-1]", "xs[::-1]", "xs[5:]", "xs[-2:]", "xs[0:3:2]", "xs[2:0:-1]", "xs[none:none]", "(1, 2, 3)[1:]",
    "xs[::0]", "xs['a':]", "d[1:2]", "nil[1:]", "missing[1:]", "range(10)[2:8:2] | list", "range(10)[::-1] | list",
    "range(5)[1:]", "range(5)[-1]", "range(5)[9]", "xs[9223372036854775807:]", "xs[:-9223372036854775807]",
    "xs[::9223372036854775807]", "xs[::-9223372036854775807]", "'abc'[0][0][0]", "d.items()", "d.keys()",
    "d.values()", "d.items() | list", "d.keys() | first", "d.keys()[0]", "d.get('b')", "d.get('x')", "d.get('x', 5)",
    "d.get('x', missing)", "d.get()", "{'items': 1}['items']", "{'update': 1}.update", "{'update': 1}['update']", "{'pop': 1}.pop is defined", "d.pop is defined", "d.update is defined",
    "d.pop('b')", "xs.append(4)", "d.clear()", "d.__class__", "s.__class__", "xs.__len__", "[].__class__.__mro__", "d['__class__']",
    "xs.sort is defined", "xs.count(1)", "xs.index(2)", "xs.index(9)", "(1, 1).count(1)", "d.copy()", "d.a is sequence",
    "messages | length", "users[0].city.zip", "users[0]['city']['zip']", "s.x", "'abc'.x is defined", "_private",
    "d[missing]", "xs[missing]", "d[none]", "{none: 1}[none]", "{1: 'x'}[1.0]", "{1: 'x'}[true]", "[[1, 2], [3]][0][1]",
)
STRINGS = prints(
    "s.strip()", "s.lstrip()", "s.rstrip()", "'xxaxx'.strip('x')", "'abcba'.lstrip('ab')", "'abcba'.rstrip('ab')",
    "'äxä'.strip('ä')", "'\\u2003\\x1c a \\x85\\xa0'.strip()", "' a '.strip(none)", "'a'.strip('')", "'a b  c'.split()",
    "' a b '.split()", "'a,b,,c'.split(',')", "'a,b,c'.split(',', 1)", "'a b c'.split(none, 1)", "' a  b  c '.split(none, 1)",
    "' a  b  c '.rsplit(none, 1)", "''.split()", "''.split(',')", "'abc'.split('')", "'aXXbXXc'.split('XX')", "'a'.split(sep='a')",
    "'a,b,c'.split(',', maxsplit=1)", "'aaa'.split('aa')", "'aaa'.rsplit('aa')", "'a,b,c'.rsplit(',', 1)", "'a b c'.rsplit()",
    "'é€é'.split('€')", "'abc'.startswith('ab')", "'abc'.startswith('bc', 1)", "'abc'.startswith(('x', 'a'))",
    "'abc'.endswith('bc')", "'abc'.endswith('c', 0, 2)", "'abc'.startswith('')", "'abc'.startswith(1)", "'abc'.startswith('b', -2)",
    "'abc'.startswith('', 5)", "'abc'.startswith(['a'])", "'aXbX'.replace('X', '-')", "'aXbX'.replace('X', '-', 1)",
    "'abc'.replace('', '-')", "'abc'.replace('', '-', 2)", "''.replace('', 'x')", "'aaa'.replace('aa', 'b')",
    "'abc'.replace('b', '')", "'abc'.replace('x', 'y')", "'é😀é'.replace('😀', 'ß')", "'abc'.replace('b')", "'abc'.replace(1, 2)",
    "'ab'.upper()", "u.upper()", "u.lower()", "u.title()", "u.capitalize()", "'AB'.lower()", "'ΑΣ ΣΑ Σ'.lower()", "'İ'.lower()",
    "'straße'.upper()", "'ŉǰﬀ'.upper()", "\"they're bill's\".title()", "'hello wORLD 1st'.title()", "'ǆ'.title()", "'ﬁn'.title()",
    "'hELLO'.capitalize()", "'ßa'.capitalize()", "''.capitalize()", "'abcabc'.find('c')", "'abcabc'.find('c', 3)", "'abc'.find('x')",
    "'äöü'.find('ü')", "'abcabc'.rfind('c')", "'abc'.find('')", "'abc'.find('', 3)", "'abc'.find('', 4)", "'abc'.find('c', 0, 2)",
    "'abc'.find('a', -3)", "'abab'.count('ab')", "'aaa'.count('aa')", "'aé'.count('')", "'-'.join(['a', 'b'])", "'-'.join('abc')",
    "'-'.join([1])", "'-'.join([])", "'a\\nb\\r\\nc\\x0bd\\u2028e\\x85f'.splitlines()", "'a\\n'.splitlines(true)", "''.splitlines()",
    "'\\n'.splitlines()", "'abc'.removeprefix('ab')", "'abc'.removesuffix('bc')", "'abc'.removeprefix('x')", "'12'.isdigit()",
    "'1a'.isdigit()", "''.isdigit()", "'ab'.isalpha()", "'é'.isalpha()", "' \\n'.isspace()", "'AB1'.isupper()", "'ab1'.islower()",
    "'1'.islower()", "'Ab'.isupper()", "s.nothing()", "s.strip().lower().replace(' ', '_')", "'a'.strip(1)", "'a'.upper(1)",
    "'x'.split('x', 0)", "'abc'.split(none)", "'  '.split()", "'a  '.split(none, 0)", "'  a  '.split(none, 0)", "' a b'.rsplit(none, 0)",
    "'ab' in u or 'ß' in u", "'Straße'.find('e')", "'abc'.find('b', none)", "'abc'.endswith(('x', 'c'))",
)
FILTERS = prints(
    "s | trim", "s | trim | upper", "'xax' | trim('x')", "'xax' | trim(chars='x')", "nil | trim", "5 | trim", "missing | trim", "s | lower",
    "u | upper", "u | lower", "'hello wORLD-foo (bar) [b]{c}<d>' | title", "\"it's o'clock\" | title", "'' | title", "'éa ßb' | title",
    "'hELLO wORLD' | capitalize", "nil | upper", "'abc' | length", "u | length", "xs | count", "d | length", "missing | length",
    "5 | length", "nil | length", "range(5) | length", "missing | default('x')", "nil | default('x')", "empty | default('x')",
    "empty | default('x', true)", "nil | d('x', true)", "missing | d", "no | default('x', boolean=true)", "missing.x | default('x')",
    "d.nothing | default('x')", "xs | join", "xs | join(', ')", "xs | join(d='-')", "users | join(', ', attribute='name')",
    "users | join('|', 'city.zip')", "[1, none, missing, 'a'] | join(',')", "'abc' | join('-')", "missing | join(',')", "5 | join",
    "xs | first", "xs | last", "[] | first", "[] | last", "'abc' | first", "'é' | last", "'' | first", "d | first", "d | last",
    "missing | first", "missing | last", "xs | map('string') | first", "xs | map('string') | last", "'abc' | list", "d | list", "missing | list",
    "5 | list", "(1, 2) | list", "range(3) | list", "5 | string", "1.0 | string", "nil | string", "missing | string", "[1] | string",
    "'5' | int", "' 5 ' | int", "'-5' | int", "'+5' | int", "'5.7' | int", "'abc' | int", "'abc' | int(9)", "'abc' | int(default=9)",
    "5.7 | int", "-5.7 | int", "true | int", "nil | int", "nil | int(3)", "'0x1f' | int(base=16)", "'1f' | int(0, 16)", "'101' | int(base=2)",
    "'0b11' | int(base=0)", "'12_3' | int", "'1__2' | int", "'_1' | int", "'' | int", "'1e3' | int", "[] | int", "missing | int",
    "'inf' | int", "'nan' | int", "'99' | int(base=99)", "'z' | int(base=36)", "'5' | float", "'5.5' | float", "'x' | float", "'x' | float(1.5)",
    "5 | float", "true | float", "nil | float", "'1e400' | float", "'-1e400' | float", "'inf' | float", "'-Infinity' | float", "'nan' | float",
    "' 1.5 ' | float", "'1_0.5' | float", "'.5' | float", "'5.' | float", "'+1' | float", "'+-1' | float", "'0x10' | float", "'1e-400' | float",
    "'0.0000001e-400' | float", "missing | float", "-5 | abs", "(-5) | abs", "(-5.5) | abs", "true | abs", "'a' | abs", "missing | abs",
    "'aXbX' | replace('X', '-')", "'aXbX' | replace('X', '-', 1)", "'aXbX' | replace('X', '-', count=1)", "5 | replace(5, 6)",
    "'a' | replace('a')", "nil | replace('None', 'x')", "'aaa' | replace('', '.')", "xs | reverse | list", "'aé😀' | reverse", "(1, 2) | reverse | list", "d | reverse | list", "range(3) | reverse | list", "5 | reverse", "xs | map('string') | reverse | list",
    "xs | sort", "xs | sort(reverse=true)", "words | sort", "words | sort(case_sensitive=true)", "words | sort(true)", "users | sort(attribute='age')",
    "users | sort(attribute='age,name') | map(attribute='name') | join", "users | sort(attribute='city.zip') | map(attribute='name') | join",
    "users | sort(attribute='name', reverse=true) | map(attribute='name') | join", "['b', 1] | sort", "d | sort", "'cab' | sort", "[none, none] | sort",
    "[[2, 'b'], [1, 'c']] | sort", "[[2], [1]] | sort(attribute=0)", "xs | unique | list", "[1, 1, 2, 1.0, true] | unique | list",
    "words | unique | list", "words | unique(true) | list", "users | unique(attribute='age') | map(attribute='name') | list", "[[1], [1]] | unique | list",
    "'aAb' | unique | join", "users | map(attribute='name') | list", "users | map(attribute='x') | list", "users | map(attribute='x', default='-') | list",
    "users | map(attribute='city.zip') | join(',')", "words | map('upper') | join(',')", "words | map('replace', 'a', 'X') | join(',')",
    "[' a ', 'b '] | map('trim') | list", "xs | map('nothing') | list", "xs | map | list", "words | map('length') | list", "words | map('default', 'x') | list",
    "[[1, 2], [3]] | map('first') | list", "[[1, 2], [3]] | map(attribute=0) | list", "[[1, 2], [3]] | map(attribute='1') | list", "xs | select('odd') | list", "xs | select | list", "[0, 1, '', none, 'a'] | select | list", "[0, 1, '', none, 'a'] | reject | list",
    "xs | reject('odd') | list", "xs | select('gt', 1) | list", "xs | select('>', 1) | list", "xs | select('in', [1, 2]) | list",
    "xs | select('divisibleby', 3) | list", "xs | select('nothing') | list", "missing | select | list", "nil | select | list", "5 | select | list",
    "messages | selectattr('role', 'equalto', 'user') | list", "messages | selectattr('role', 'eq', 'user') | map(attribute='content') | first",
    "messages | selectattr('role', '==', 'x') | list", "messages | selectattr('x', 'defined') | list | length", "messages | selectattr('role') | list | length",
    "messages | rejectattr('role', 'in', ['system', 'user']) | map(attribute='role') | list", "messages | rejectattr('x') | list | length",
    "users | selectattr('age', 'gt', 26) | map(attribute='name') | list", "users | selectattr('city.zip', 'eq', '2') | list | length", "users | selectattr | list",
    "users | selectattr('x.y') | list", "users | groupby('age') | list", "users | groupby('age') | map(attribute='grouper') | list", "users | groupby('city.zip') | map(attribute='list') | map('length') | list",
    "users | groupby('x', default='-') | length", "['a', 'B', 'A'] | groupby(attribute='0')", "(users | groupby('age'))[0].grouper", "(users | groupby('age'))[0][1] | length",
    "d | dictsort", "d | dictsort(true)", "d | dictsort(reverse=true)", "{'a': 2, 'b': 1} | dictsort(by='value')", "{'a': 2, 'b': 1} | dictsort(false, 'value', true)", "{'a': 2} | dictsort(by='x')",
    "{1: 2, 'a': 1} | dictsort", "xs | dictsort", "d | items | list", "missing | items | list", "xs | items | list", "nil | items | list",
    "'a\\nb\\n\\nc' | indent", "'a\\nb\\n\\nc' | indent(2)", "'a\\nb' | indent(2, true)", "'a\\n\\nb' | indent(2, blank=true)", "'a\\nb' | indent('> ')", "'a\\nb' | indent(width=3, first=true)",
    "'' | indent(2, true)", "'a\\n' | indent", "'\\na' | indent(2)", "5 | indent", "'a\\r\\nb' | indent(1)", "'a' | indent(-1, true)", "'a' | indent(1.5)",
    "'<a href=\"x\">\\'&' | e", "'<' | escape", "'<' | safe", "5 | safe", "nil | e", "2.5 | round", "3.5 | round", "2.567 | round(2)", "2.675 | round(2)",
    "1234.5 | round(-2)", "5 | round", "2.1 | round(0, 'ceil')", "2.9 | round(method='floor')", "2.15 | round(1, 'ceil')", "2.5 | round(method='x')", "42 | round(1, 'floor')", "1250 | round(-2)", "'a' | round", "-2.5 | round", "1e300 | round(2)",
    "xs | sum", "[1.5, 2] | sum", "users | sum(attribute='age')", "xs | sum(start=10)", "[] | sum", "['a'] | sum", "[[1], [2]] | sum(start=[])", "['a', 'b'] | sum(start='')",
    "xs | min", "xs | max", "words | min", "words | max", "words | max(case_sensitive=true)", "users | min(attribute='age')", "[] | max", "[] | min is defined", "[1, 'a'] | max", "'hello' | max",
    "xs | nothing", "1 if true else (xs | nothing)", "xs | first | string | length", "[3, 1] | sort | first", "(xs | map('string') | list)[0]", "xs | map('string') | length", "xs | map('string') is iterable",
    "'a' | upper | lower()", "xs | length > 2", "xs | length + 1", "not xs | length", "'%s' | upper ~ 'x'", "xs | join(',') | length", "'a b' | replace(' ', '_') + 'c'",
)
JSON = prints(
    "json | tojson", "json | tojson(indent=2)", "json | tojson(indent=0)", "json | tojson(ensure_ascii=true)", "json | tojson(true, 4)", "json | tojson(sort_keys=true)",
    "json | tojson(separators=(',', ':'))", "json | tojson(indent='\\t')", "json | tojson(none, none)", "'a' | tojson", "none | tojson", "missing | tojson", "[missing] | tojson", "(1, 2) | tojson", "{1: 2, 1.5: 3, true: 4, none: 5} | tojson",
    "{(1, 2): 3} | tojson", "{'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true)", "{1: 1, 'a': 2} | tojson(sort_keys=true)", "range(3) | tojson", "d.items() | tojson", "d.keys() | list | tojson", "xs | map('string') | tojson",
    "1.0 | tojson", "1e100 | tojson", "1e16 | tojson", "'inf' | float | tojson", "'nan' | float | tojson", "[] | tojson(indent=2)", "[[], {}] | tojson(indent=2)", "[1, [2, {'a': []}]] | tojson(indent=3)", "'</script>&\\'' | tojson", "'\\u2028' | tojson",
    "namespace(a=1) | tojson", "'é' | tojson(ensure_ascii=false)", "[true, false] | tojson", "{'a': 'b'} | tojson | length", "users | groupby('age') | tojson", "json | tojson(separators=',')", "messages | tojson",
)
TESTS = prints(
    "missing is defined", "n is defined", "d.nothing is defined", "missing is undefined", "nil is none", "missing is none", "n is not none", "s is string", "n is string", "n is number", "f is number", "yes is number", "s is number",
    "n is integer", "f is integer", "yes is integer", "f is float", "n is float", "yes is boolean", "n is boolean", "d is mapping", "xs is mapping", "xs is iterable", "s is iterable", "d is iterable", "n is iterable", "missing is iterable",
    "nil is iterable", "xs is sequence", "s is sequence", "d is sequence", "n is sequence", "missing is sequence", "(1,) is sequence", "range(2) is sequence", "d.items() is sequence", "d.items() is iterable", "xs is callable", "range is callable",
    "d.get is callable", "missing is callable", "yes is true", "n is true", "1 is true", "no is false", "0 is false", "nil is false", "n is equalto 7", "n is eq 7", "n is eq(7)", "n is == 7", "n is ne 7", "n is lt 8", "n is lessthan 8", "n is gt 8", "n is ge 7",
    "n is le 7", "n is in [7]", "'a' is in 'abc'", "n is in(xs)", "n is odd", "n is even", "n is divisibleby 7", "n is divisibleby(2)", "n is divisibleby 0", "'a' is odd", "f is odd", "s is lower", "'ab' is lower", "'AB' is upper", "n is sameas 7", "nil is sameas none", "xs is sameas xs", "xs is sameas [3, 1, 2]",
    "n is not divisibleby 2", "not n is divisibleby 2", "n is defined and n > 1", "n is defined or 1", "n is string or n is number", "n is number is number", "xs is nothing", "xs is not nothing", "1 if n is defined else (n is nothing)", "missing is not defined", "'upper' is filter", "'x' is filter", "'odd' is test",
    "n is divisibleby 7 and true", "n + 1 is divisibleby 8", "d is defined and d.a is defined", "n is not", "n is 5", "n is eq f", "n is in [1] or true", "n is eq 7 == true", "n is none is false", "xs[0] is eq 3", "n is eq -7", "n is eq xs[0]", "namespace() is mapping", "loop is defined", "none is defined", "'x' is escaped" if False else "1 is integer",
)
CONDITIONS = prints(
    "1 if true", "1 if false", "1 if false else 2", "1 if false else 2 if false else 3", "1 if true else 2 if false else 3", "(1 if false) is defined", "(1 if false) ~ 'x'", "1 if yes and not no else 2", "'a' if missing else 'b'", "[1 if no else 2, 3]",
    "1 if true if false else 5", "'x' ~ ('y' if yes) ~ 'z'", "{'a': 1 if yes else 2}", "(1 if no).x", "1 if n is none else 2", "missing if missing is defined else 'no'", "1 if [] else 2", "1 if {} else 2", "1 if xs | select('gt', 9) else 2", "1 if range(0) else 2", "1 if '' else 2", "1 if 0.0 else 2", "1 if (0,) else 2", "1 if d.items() else 2", "1 if {}.items() else 2", "1 if namespace() else 2",
)
FUNCTIONS = prints(
    "range(3)", "range(1, 3)", "range(5, 0, -2) | list", "range(0) | list", "range(3, 1) | list", "range(1, 2, 0)", "range(1.5)", "range()", "range('3')", "range(missing)", "range(100000) | length", "range(100001)", "range(0, 1000000000, 100000) | length",
    "range(-5, 5, 3) | list", "range(9223372036854775807, 0, -1000000000000000000) | list", "dict(a=1, b=2)", "dict({'a': 1}, b=2)", "dict([('a', 1), ('b', 2)])", "dict()", "dict([1])", "namespace(a=1)", "namespace(a=1).a", "namespace(a=1).b", "namespace({'a': 1}).a", "namespace(a=1)['a']",
    "raise_exception('boom')", "raise_exception('a' ~ 1)", "raise_exception(5)", "raise_exception()", "1 if yes else raise_exception('no')", "1 if no else raise_exception('é\\n😀')", "strftime_now('%Y-%m-%d')", "strftime_now('%d %b %Y')", "strftime_now('%B %d, %Y')", "strftime_now('%A %a %H:%M:%S %j %y %I %p %%')", "strftime_now('%-d %e x')", "strftime_now('')", "strftime_now('é%Y')",
    "missing('a')", "n()", "'a'()", "joiner(', ') is callable", "cycler(1, 2).current", "cycler()",
)
STATEMENTS = [
    "{% if yes %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% elif yes %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% endif %}",
    "{% if yes: %}a{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if xs and not missing %}a{% endif %}", "{% for x in xs %}{{ x }},{% endfor %}", "{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "{% for x in xs %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}none{% endfor %}", "{% for x in nil %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d | items %}{{ k }};{% endfor %}", "{% for k, v in d %}{{ k }}{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }};{% endfor %}", "{% for c in 'aé😀' %}[{{ c }}]{% endfor %}", "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }};{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for (a, b) in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}", "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}", "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}", "{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in xs %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}", "{% for x in xs %}{{ loop.nothing }}{% endfor %}", "{% for x in xs %}{{ loop }}{% endfor %}", "{% for x in xs if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }};{% endfor %}", "{% for x in xs if x > 5 %}{{ x }}{% else %}none{% endfor %}", "{% for x in xs %}{% for y in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for x in xs %}{% set o = loop %}{% for y in [1] %}{{ o.index }}{{ loop.index }};{% endfor %}{% endfor %}",
    "{% for x in [[1, 2], [3]] %}{% for y in x if y > loop.index0 %}{{ y }}{% endfor %}{% endfor %}" if False else "{% for x in [[1, 2], [3]] %}{% for y in x if y > 1 %}{{ y }}{% endfor %}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% break %}{% else %}none{% endfor %}", "{% break %}", "{% for x in xs %}{% endfor %}{% continue %}", "{% for x in xs %}{% for y in xs %}{% break %}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in xs if x is odd %}{% if loop.last %}last{% endif %}{{ x }}{% endfor %}", "{{ loop }}", "{{ loop.index }}", "{% for x in xs recursive %}{{ x }}{% endfor %}" if False else "{% for x in xs | reverse %}{{ x }}{% endfor %}", "{% for x in xs | sort %}{{ x }}{% endfor %}{{ x }}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for m in messages %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for m in messages[1:] %}{{ loop.index }}{{ m['role'] }}{% endfor %}", "{% for m in messages if m.role != 'system' %}{{ m.role }}{% endfor %}",
    "{% for x in xs | map('string') %}{{ x }}{{ loop.length }}{{ loop.last }}{% endfor %}", "{% set g = xs | map('string') %}{% for x in g %}{{ x }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %}", "{% set g = xs | map('string') %}{{ g | first }}{{ g | list }}", "{% set g = xs | map('string') %}{{ '1' in g }}{{ g | list }}", "{% set g = d.items() %}{% for k, v in g %}{{ k }}{% endfor %}{% for k, v in g %}{{ k }}{% endfor %}",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = 'xy' %}{{ a }}{{ b }}", "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}", "{% set a, b = 1 %}", "{% set a, b = 1, 2, 3 %}", "{% set a = 1, 2 %}{{ a }}", "{% set a = b = 1 %}", "{% set a %}x{{ n }}y{% endset %}{{ a }}|{{ a | length }}", "{% set a | upper %}x{{ n }}y{% endset %}{{ a }}", "{% set a | trim | replace('b', 'c') %} abc {% endset %}[{{ a }}]",
    "{% set a %}{% set b = 1 %}{% endset %}{{ b }}", "{% set a = 1 %}{% for x in xs %}{% set a = x %}{% endfor %}{{ a }}", "{% set a = 1 %}{% for x in xs %}{{ a }}{% set a = a + x %}{{ a }};{% endfor %}{{ a }}", "{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}", "{% if yes %}{% set a = 2 %}{% endif %}{{ a }}", "{% if no %}{% set a = 2 %}{% endif %}{{ a is defined }}", "{% for x in xs %}{% if x == 3 %}{% set q = 1 %}{% endif %}{{ q is defined }}{% endfor %}",
    "{% set ns = namespace(c=0) %}{% for x in xs %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}", "{% set ns = namespace(l=[]) %}{% for x in xs %}{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.l }}", "{% set d.x = 1 %}", "{% set nothing.x = 1 %}", "{% set ns = namespace(a=1) %}{{ ns }}", "{% set ns = namespace(a=1) %}{% set ns.a %}block{% endset %}{{ ns.a }}", "{% set ns = namespace(a=1) %}{% for ns.a in xs %}{% endfor %}", "{% set true = 1 %}", "{% set messages = messages[1:] %}{{ messages | length }}", "{% set x = n %}{% set n = 1 %}{{ x }}{{ n }}", "{% set range = 5 %}{{ range }}",
    "{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(c=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a, b=n) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}{{ m(1) }}", "{% macro m(a) %}{{ kwargs.x }}{% endmacro %}{{ m(1, x=2) }}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{{ n }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{% if caller %}c{% else %}n{% endif %}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% call n %}{% endcall %}", "{% call missing() %}{% endcall %}", "{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call m('a') %}b{% endcall %}{% call m(x='c') %}d{% endcall %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m() %}{{ z }}{% endmacro %}{% set z = 1 %}{{ m() }}", "{% macro m() %}{% set z = 5 %}{{ z }}{% endmacro %}{{ m() }}{{ z is defined }}", "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m() %}{{ x is defined }}{% endmacro %}{% for x in xs %}{{ m() }}{% endfor %}", "{% macro m() %} a {% endmacro %}[{{ m() | trim }}]{{ m() ~ 'b' }}{{ m() | length }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m(a) %}{% for x in a %}{{ loop.index }}{{ x }}{% endfor %}{% endmacro %}{{ m(xs) }}{{ m(a='ab') }}", "{% macro m(a) %}{{ a is defined }}{{ a }}{% endmacro %}{{ m(missing) }}", "{% macro m(messages) %}{{ messages }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% break %}{% endmacro %}",
    "{% macro outer() %}{% macro inner() %}i{{ n }}{% endmacro %}{{ inner() }}{{ inner() }}{% endmacro %}{{ outer() }}", "{% filter upper %}a{{ n }}b{% endfilter %}", "{% filter trim | replace('a', 'b') %} xax {% endfilter %}|", "{% filter indent(2) %}a\nb{% endfilter %}", "{% filter upper %}{% set q = 1 %}{% endfilter %}{{ q is defined }}", "{% filter nothing %}{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}", "{% with a = n %}{% set n = 1 %}{{ a }}{{ n }}{% endwith %}{{ n }}", "{% generation %}a{{ n }}{% endgeneration %}b", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q is defined }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}", "{% set j = joiner() %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ j() }}",
    "{% raw %}{{ x }}{% if %}{# c #}{% endraw %}", "a{% raw %}\n b {% endraw %}\nc", "a {%- raw -%} b {%- endraw -%} c", "  {% raw %}\n  x\n  {% endraw %}\n  y", "{% raw %}", "{% endraw %}", "{% raw -%} a {%+ endraw %} b", "{%raw%}a{%endraw%}",
    "{# comment #}a", "a{# {{ x }} {% y %} #}b", "a {#- c -#} b", "{# no end", "a\n{# c #}\nb", "a\n  {# c #}  \nb", "a{##}b", "a {#-#} b", "a\n{#+ c +#}\nb", "{#- x #}", "x {#+ y #}", "{{ 1 }}{# a # b #}{{ 2 }}",
    "{% unknown %}", "{% if %}{% endif %}", "{% if yes %}", "{% endif %}", "{% else %}", "{% for %}{% endfor %}", "{% for x %}{% endfor %}", "{% for x in %}{% endfor %}", "{% for x in xs %}", "{% for 1 in xs %}{% endfor %}", "{% if yes %}{% endfor %}", "{% set %}", "{% set a %}", "{% set 1 = 2 %}", "{{ }}", "{{ 1 2 }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ {1} }}", "{{ {1: } }}", "{{ a.1x }}", "{{ a. }}", "{{ a[ }}", "{{ a[] }}", "{{ a| }}", "{{ a is }}", "{{ f(a=1, 2) }}", "{{ f(a=1, a=2) }}", "{{ f(,) }}", "{{ [,] }}", "{{ 1 if }}", "{{ if }}", "{{ not }}", "{{ 'a }}", "{{ a", "{% if a", "{{ a %}", "{% if a }}", "{{ $ }}", "{{ a ? b }}", "{{ a & b }}", "{{ a = 1 }}", "{{ a; b }}", "{{ 1 == }}", "{{ == 1 }}", "{{ * 2 }}", "{{ a..b }}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro m( %}{% endmacro %}", "{% macro m(1) %}{% endmacro %}", "{% call %}{% endcall %}", "{% filter %}{% endfilter %}", "{{ {{ 1 }} }}", "{% if yes %}{% else %}{% else %}{% endif %}", "{% if yes %}{% else %}{% elif no %}{% endif %}", "{%", "{{", "{#", "{", "}}", "%}", "#}", "{ {", "{ % if %}", "", "\n", "\n\n", "a\n", "a\n\n", "a\r\n", "a\rb\r\nc\n\rd",
    "{{'a'}}{{\"b\"}}", "{{-1}}", "{{- 1 -}}", "{{+1}}", "{{ -1 }}", "{{- -1}}", "a {{- 1 -}} b", "a {{+ 1 }} b", "a\n{{ 1 }}\nb", "a\n  {{ 1 }}\nb", "a\n  {{- 1 -}}  \n b", "{{ {'a': 1}['a'] }}", "{{ {'a': {'b': 2}} }}", "{{ {'a': {'b': 2}}.a.b }}", "{{ (1, 2)[0] }}", "{{ [1,\n2] }}", "{{\n1\n}}", "{%\nif yes\n%}a{% endif\n%}", "{{1}}{{2}}", "{{ 'a\nb' }}", "{{ 'a\\\nb' }}", "{{ d['b'] if d }}", "{{ d ['b'] }}", "{{ d . b }}", "{{ n|abs|string }}", "{{ n | abs | string | length }}", "{{ (n) }}", "{{ ((n)) }}", "{{ n.real }}" if False else "{{ n }}", "{{ messages[0]['role']|upper ~ ':' }}", "{{ 'a' if n == 7 and s is string else 'b' }}", "{{ xs[0]if yes else 2 }}",
    "{{ é }}", "{{ é1 is defined }}", "{% set ñ = 5 %}{{ ñ }}", "{{ 1\u00a0+\u20032 }}", "é{{ 'ü' }}ñ", "\ufeffa", "\u2003{%- if yes -%}\u2003a{% endif %}", "a\u2003{{- 1 }}", "\u2003{% if yes %}x{% endif %}",
    "{% if yes %}a{% endif %}\n{% if yes %}b{% endif %}\n", "{% if yes %}\na\n{% endif %}\nb", "  {% if yes %}\n  a\n  {% endif %}\nb", "x  {% if yes %}\n  a\n  {% endif %}y", "{% if yes %}{{ 1 }}\n{% endif %}", "\t{% if yes %}\ta\t{% endif %}\t", "{% if yes %} \na{% endif %}", "{% if yes %}\n\na{% endif %}", "{% for x in xs %}\n  {{ x }}\n{% endfor %}\nend", "{% for x in xs -%}\n  {{ x }}\n{%- endfor %}\nend", "{% for x in xs %}\n  {% if x == 1 %}\n    one\n  {% else %}\n    other\n  {% endif %}\n{% endfor %}", "a\n   {%+ if yes %}b{% endif %}", "a\n   {% if yes +%}\nb{% endif %}", "a\n   {%- if yes %}\nb{%- endif -%}\n\nc", "  {{ 1 }}{% if yes %}  {% endif %}  {% if yes %}x{% endif %}", "{% set a = 1 %}\n{% set b = 2 %}\n{{ a }}{{ b }}\n", "{%- set a = 1 -%}\n\n{%- set b = 2 %}\n\n{{ a }}", "{{ 1 }}\n{% if yes %}\n{{ 2 }}\n{% endif %}\n{{ 3 }}\n", "{% if yes %}a{% endif %} \n b", "a{% if yes %}\n{% endif %}\nb", "a {% if yes %} b {% endif %} c",
]
# Every sign at every place where white space may be cut.
WHITE_SPACE = [
    f"a \n {{%{left} if yes {right}%}} \n b \n {{%{left2} endif {right2}%}} \n c"
    for left, right, left2, right2 in itertools.product(["", "-", "+"], repeat=4)
] + [f"a \n {{{{{left} 1 {right}}}}} \n b" for left, right in itertools.product(["", "-", "+"], ["", "-"])
] + [f" \n {{#{left} c {right}#}} \n b" for left, right in itertools.product(["", "-", "+"], repeat=2)]

SNIPPETS = (ARITHMETIC + COMPARISONS + LITERALS + ACCESS + STRINGS + FILTERS + JSON + TESTS + CONDITIONS + FUNCTIONS + STATEMENTS
            + WHITE_SPACE)
