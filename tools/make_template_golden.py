"""Makes the references that Sluice's chat templates are tested against: what jinja2 makes of them.

    python tools/make_template_golden.py             # writes the golden files
    python tools/make_template_golden.py --check     # fails where they are not what jinja2 says

jinja2 is set up as transformers' `apply_chat_template` does it: ImmutableSandboxedEnvironment with trim_blocks,
lstrip_blocks, loop controls, `raise_exception`, a `tojson` that is json.dumps without escapes for HTML, and
`strftime_now`, which here tells NOW. Read are, in tests/golden/templates:

*.jinja               templates, written for Sluice after the public behaviour of model families
conversations.json    a list of {"name", "messages", and "tools", "documents", "variables", "add_generation_prompt"
                      where they differ from none, none, none, true}

and tools/template_snippets.py, small pieces of template that look at one detail of the language each. Written are:

rendered.jsonl    one line a template: {"template": <name>, "results": [<one for each conversation, in order>]}
                  a result: {"text": ...}, {"raised": <raise_exception's message>} or {"failed": true}; texts of more
                  than LONG bytes are {"bytes": <size>, "begin": <first LONG bytes or fewer>, "crc32": <of all>}
snippets.jsonl    first the context of all snippets, then one line a snippet: {"template": ..., and "text", "raised" or
                  "failed" as above}
"""
import argparse
import datetime
import json
import pathlib
import sys
import zlib

import jinja2
import jinja2.ext
import jinja2.sandbox

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import template_snippets  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/templates"
NOW = datetime.datetime(2024, 7, 26, 6, 5, 9)  # the test tells the same time
LONG = 1200
BOS, EOS = "<s>", "</s>"


class Raised(jinja2.TemplateError):
    """raise_exception was called."""


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the model wrote; to a rendering it is a block of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_show"), [], [], body).set_lineno(line)

    def _show(self, caller):
        return caller()


def make_environment():
    def raise_exception(message):
        raise Raised(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(environment, template, context):
    """What comes out: {"text"}, {"raised"} or {"failed"}."""
    try:
        text = environment.from_string(template).render(**context)
        text.encode()
    except Raised as error:
        return {"raised": str(error)}
    except Exception:  # whatever it is, it is no text
        return {"failed": True}
    return {"text": text}


def shorten(result):
    encoded = result.get("text", "").encode()
    if len(encoded) <= LONG:
        return result
    return {"bytes": len(encoded), "begin": encoded[:LONG].decode(errors="ignore"), "crc32": zlib.crc32(encoded)}


def context_of(conversation):
    return {
        "messages": conversation["messages"],
        "tools": conversation.get("tools"),
        "documents": conversation.get("documents"),
        "add_generation_prompt": conversation.get("add_generation_prompt", True),
        "bos_token": BOS,
        "eos_token": EOS,
        **conversation.get("variables", {}),
    }


def rendered():
    environment = make_environment()
    conversations = json.loads((GOLDEN / "conversations.json").read_text())
    for path in sorted(GOLDEN.glob("*.jinja")):
        template = path.read_text()
        results = [shorten(render(environment, template, context_of(c))) for c in conversations]
        yield {"template": path.stem, "results": results}


def snippets():
    environment = make_environment()
    for template in template_snippets.SNIPPETS:
        context = {"bos_token": BOS, "eos_token": EOS, "add_generation_prompt": True, "tools": None, "documents": None,
                   "messages": template_snippets.MESSAGES, **template_snippets.VARIABLES}
        result = render(environment, template, context)
        if " at 0x" in result.get("text", ""):
            sys.exit(f"prints an address, which differs every time: {template}")
        yield {"template": template, **result}


def lines(values):
    return "".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n" for value in values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    context = json.dumps({"messages": template_snippets.MESSAGES, "variables": template_snippets.VARIABLES},
                         ensure_ascii=False, separators=(",", ":")) + "\n"
    files = {"rendered.jsonl": lines(rendered()), "snippets.jsonl": context + lines(snippets())}
    stale = []
    for name, text in files.items():
        path = GOLDEN / name
        if not options.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.exit(f"not what jinja2 {jinja2.__version__} says: {', '.join(stale)}")


if __name__ == "__main__":
    main()
