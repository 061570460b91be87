"""Makes the tokenizers and the reference encodings that Sluice's tokenizer is tested against.

    python tools/make_tokenizer_golden.py            # needs models/shipped/brook/tokenizer.json

The references are those of the Rust `tokenizers` library (Hugging Face). Written are:

tests/golden/tokenizers/<name>/tokenizer.json
    gpt2       ByteLevel with its built-in regex and a prefix space, no normalizer, no post-processor
    qwen2      NFC, Qwen2's Split regex, ByteLevel; eight added tokens with every kind of flag (see ADDED below)
    llama3     Split regex, ByteLevel, `ignore_merges`, merges as pairs, a template that adds a beginning
    brook      the tokenizer of models/shipped/brook is read from there, not copied
tests/golden/tokenizers/<name>.jsonl    one reference a line, all in the same order of texts:
    {"text": "<hex of UTF-8>",  the text
     "ids": [...],              encode(text, add_special_tokens=false)
     "special_ids": [...],      the same with true; absent where it is equal to "ids"
     "decoded": "<hex>",        decode(ids, skip_special_tokens=false); absent where it is equal to "text"
     "skipped": "<hex>"}        decode(ids, skip_special_tokens=true); absent where it is equal to the one above
tests/golden/tokenizers/<name>.decode.jsonl    {"ids": [...], "decoded": "<hex>", "skipped": "<hex>"} of random ids, so
    that pieces of characters and broken UTF-8 (decoded to U+FFFD) occur; "skipped" absent where equal to "decoded"
"""
import argparse
import json
import pathlib
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/tokenizers"
VOCABULARY = 1000

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# content, special, and the flags that differ from false. Shared prefixes and an inner match are on purpose.
ADDED = [
    ("<|endoftext|>", True, {}),
    ("<|im_start|>", True, {}),
    ("<|im_end|>", True, {"rstrip": True}),
    ("<|im", False, {}),
    ("<left>", True, {"lstrip": True}),
    ("<both>", False, {"lstrip": True, "rstrip": True}),
    ("token", False, {"single_word": True}),
    ("caf\u00e9", False, {"normalized": True}),
    ("<tool_call>", False, {}),
]

SENTENCES = """\
In the beginning God created the heaven and the earth.
The quick brown fox doesn't jump; it's lazy, they're slow, I've 12 of 1,234,567 and we'll see 3.14159 or -0.5e-10!
Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.
Voix ambiguë d'un cœur qui au zéphyr préfère les jattes de kiwis.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia; ¿qué más? ¡Nada!
Съешь же ещё этих мягких французских булок, да выпей чаю.
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.
生成季度财务报告摘要
我能吞下玻璃而不伤身体。 數位時代，１２３ＡＢＣ
いろはにほへと ちりぬるを。カタカナとﾊﾝｶｸ、漢字混じり文。
키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ١٢٣٤
דג סקרן שט בים מאוכזב ולפתע מצא חברה
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले विष्णुवतार १२३
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓
யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம்
ಬಾ ಇಲ್ಲಿ ಸಂಭವಿಸು ઇન્દ્રધનુષ বাংলা ভাষা ਪੰਜਾਬੀ മലയാളം සිංහල မြန်မာ ភាសាខ្មែរ ລາວ བོད་སྐད
ქართული ენა Հայերեն አማርኛ ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ ⵜⴰⵎⴰⵣⵉⵖⵜ ᚠᛇᚻ ⲁⲃⲅ 𐍈𐌹𐍂 𒀭𒂗 𓀀𓁐 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚
👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 thumbs, 🇩🇪🇨🇳 flags, 1️⃣ key, ❤️ heart, 🧑🏿‍🚀 astronaut 😀😃😄
e\u0301 a\u0308 o\u0302\u0323 n\u0303 \u1e9b\u0323 \u212b \u2126 \ufb01 \u0958 \uac00 \u1100\u1161\u11a8
Z\u0351\u036b\u0343a\u0363\u0327l\u034ag\u0335o
zero\u200bwidth \u200d joiner \u200c non \ufeff bom \u00ad soft \u202e right to left
\u2066isolate\u2069 \u00a0nbsp\u3000wide
def f(x: int) -> str:↵⇥return f"{x!r:>10}"  # comment↵↵↵if __name__ == '__main__':↵    print(f(42))
#include <vector>↵int main() { std::vector<int> v{1,2,3}; return v[0] << 2 ^ ~0x7fU; }
{"key": [1, 2.5e-3, null, true], "nested": {"a\\\\b": "\\\\u00e9"}}
<html><body class="a b">&nbsp;&lt;p&gt;</body></html> https://example.org/path?q=1&r=a%20b#frag user@example.org
SELECT * FROM t WHERE a >= 10 AND b IN ('x','y') -- done; 1st 2nd 3rd 100% $5.00 €7,50 £3 ¥1000
I'M YOU'RE WE'LL HE'D IT'S DON'T I'VE 'tis 'Twas o'clock rock'n'roll ''quoted'' \u2018curly\u2019 don\u2019t 's 'S'T
A\u00b2 + B\u2083 = \u00bd \u2153 \u2167 \u2460 \u0967 \u0e51 \u4e09
x\u00d7y \u221e \u2260 \u2264 \u222b \u2211\u2200\u2203 \u2192""".split("\n")

SPECIALS = ["<|bos|>", "<|eos|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im", "<left>", "<both>", "token",
            "caf\u00e9", "cafe\u0301", "<tool_call>", "<|begin|>"]
LOOKALIKES = ["<|eos", "< |eos|>", "<|EOS|>", "<|eos|", "|eos|>", "<<|eos|>>", "<|eos|>|>", "<|<|eos|>", "<|im_",
              "<|im_star", "<|im_startx|>", "tokens", "atoken", "token_", "token1", "\u00e9token", "<bot", "<lef",
              "<left", "CAF\u00c9", "<tool_call", "</tool_call>", "\u276e|eos|\u276f", "\uff1c|eos|\uff1e",
              "<|e\u0301os|>"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u0085",
          "\v", "\f", "\u200b", "\u1680", "\u2003", "\u202f", "\u180e", "\u205f"]
CONTROLS = [*map(chr, range(32)), *map(chr, range(127, 160)), "\ufeff", "\ufffe", "\uffff", " ", "a"]
NUMBERS = list("0123456789.,-+eE \u0663\u0967\u00b2\u2155\u2167")
CONTRACTIONS = ["'s", "'S", "'t", "'LL", "'ve", "'", "\u2019s", "'\u017f", "don", "I", " ", "'re", "'m", "'D", "\u212a",
                "K"]
EMOJI = ["\U0001f469", "\U0001f468", "\u200d", "\ufe0f", "\U0001f3fd", "\U0001f467", "\u2764", "\U0001f1e9",
         "\U0001f1ea", "\U0001f600", "1", "\u20e3", " "]
BASES = ["a", "e", "o", "\u1100", "\u1161", "\u11a8", "\uac00", "\u00e5", "\u1e69", "\u212b", "\u0915", "\u0e01",
         "\u05d0", "\u2126", "\uf900", "\u0958", "\U0001d15e", "\u0344"]
MARKS = ["\u0301", "\u0323", "\u0307", "\u0327", "\u093c", "\u0e34", "\u05b8", "\u200d", "\ufe0f", "\u20e3", "\u0345",
         "\u1dc5"]
BETWEEN = ["", "", "", "a", "word", " word ", "1", ".", "\u00e9", "\u0301", "\u4e2d"]
# Blocks of scripts; random strings are drawn from one, or from a mixture.
BLOCKS = [(0x20, 0x7e), (0xa0, 0xff), (0x100, 0x24f), (0x250, 0x2ff), (0x300, 0x36f), (0x370, 0x3ff),
          (0x400, 0x52f), (0x531, 0x58f), (0x590, 0x5ff), (0x600, 0x6ff), (0x700, 0x74f), (0x780, 0x7bf),
          (0x900, 0x97f), (0x980, 0x9ff), (0xa00, 0xa7f), (0xa80, 0xaff), (0xb80, 0xbff), (0xc00, 0xc7f),
          (0xd00, 0xd7f), (0xd80, 0xdff), (0xe00, 0xe7f), (0xe80, 0xeff), (0xf00, 0xfff), (0x1000, 0x109f),
          (0x10a0, 0x10ff), (0x1100, 0x11ff), (0x1200, 0x137f), (0x13a0, 0x13ff), (0x1780, 0x17ff),
          (0x1800, 0x18af), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x20cf), (0x2100, 0x218f),
          (0x2190, 0x22ff), (0x2460, 0x24ff), (0x2500, 0x27bf), (0x3000, 0x303f), (0x3040, 0x30ff),
          (0x3130, 0x318f), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfb00, 0xfdff),
          (0xfe00, 0xfe4f), (0xff00, 0xffef), (0x10000, 0x100ff), (0x10330, 0x1034f), (0x12000, 0x123ff),
          (0x13000, 0x1342f), (0x1d400, 0x1d7ff), (0x1f1e6, 0x1f1ff), (0x1f300, 0x1f64f), (0x1f900, 0x1f9ff),
          (0x20000, 0x2a6df), (0xe0001, 0xe007f), (0xf0000, 0xf00ff), (0x10ff00, 0x10ffff)]


def valid(code):
    return not 0xd800 <= code <= 0xdfff


LETTER = pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}+"), behavior="isolated", invert=False)


def settled(character):
    """Whether every version of Unicode that is about sees the character alike. Libraries know different versions and
    must differ where a newer one assigns a code point: the free places of planes 0 to 3, and what the regular
    expressions of `tokenizers` and this Python class differently."""
    code, category = ord(character), unicodedata.category(character)
    if category == "Cn" and code < 0x40000 and code & 0xfffe != 0xfffe and not 0xfdd0 <= code <= 0xfdef:
        return False
    pieces = [piece for piece, _ in LETTER.pre_tokenize_str("!" + character + "!")]
    return (len(pieces) == 3) == (category[0] in "LN")


def texts():
    """At least 2,000 texts of every kind, always the same."""
    draw = random.Random(20240229)
    whole = [line.replace("\u21b5", "\n").replace("\u21e5", "\t") for line in SENTENCES]
    kinds = {"sentence": whole, "empty": [""]}
    kinds["fragment"] = []
    for _ in range(300):
        line = draw.choice(whole)
        start = draw.randrange(len(line))
        kinds["fragment"].append(line[start:start + draw.randrange(1, 40)])
    kinds["mixture"] = [draw.choice(SPACES + [""]).join(
        line[(start := draw.randrange(len(line))):start + draw.randrange(1, 12)]
        for line in draw.choices(whole, k=draw.randrange(2, 6))) for _ in range(250)]
    kinds["byte"] = [chr(code) for code in range(256)]
    kinds["block"] = []
    for low, high in BLOCKS:
        for _ in range(4):
            codes = [draw.randint(low, high) for _ in range(draw.randrange(1, 24))]
            kinds["block"].append("".join(chr(code) for code in codes if valid(code)))
    kinds["planes"] = []
    for _ in range(200):
        codes = [draw.randrange(0x110000) if draw.random() < 0.5 else draw.randint(*draw.choice(BLOCKS))
                 for _ in range(draw.randrange(1, 16))]
        kinds["planes"].append("".join(chr(code) for code in codes if valid(code)))
    kinds["bytes"] = [draw.randbytes(draw.randrange(1, 32)).decode("utf-8", errors="replace") for _ in range(150)]
    def strings(alphabet, count, longest):
        return ["".join(draw.choices(alphabet, k=draw.randint(1, longest))) for _ in range(count)]

    kinds["controls"] = strings(CONTROLS, 80, 11)
    kinds["special"] = SPECIALS + LOOKALIKES
    for _ in range(260):
        pieces = [draw.choice(["", " ", "x", "  ", "\n"])]
        for _ in range(draw.randint(1, 4)):
            pieces += [draw.choice(SPECIALS + SPECIALS + LOOKALIKES), draw.choice(SPACES + BETWEEN)]
        kinds["special"].append("".join(pieces))
    kinds["space"] = strings(SPACES, 60, 7) + strings(SPACES + ["a", "bc", "1", "22", "!", "...", "\u4e2d"], 80, 16)
    for count in range(1, 40):
        kinds["space"].append(draw.choice(["a", "", "1", "."]) + " " * count + draw.choice(["b", "", "2", "!"]))
    kinds["number"] = [str(10 ** n + 7) for n in range(0, 24)] + strings(NUMBERS, 60, 15)
    kinds["contraction"] = strings(CONTRACTIONS, 80, 6)
    kinds["combining"] = []
    for _ in range(140):
        pieces = [draw.choice(BASES) + "".join(draw.choices(MARKS, k=draw.randint(0, 3)))
                  for _ in range(draw.randint(1, 5))]
        kinds["combining"].append("".join(pieces))
    kinds["emoji"] = strings(EMOJI, 80, 8)
    kinds["long"] = ["a" * 1000, " " * 700, "ab" * 600, "\u4e2d" * 300, "1" * 500, "!" * 400, "\n" * 300,
                     " ".join(whole), "\u0301" * 200, "<|eos|>" * 60, "\U0001f600" * 100, "x'" * 100]
    known = {c: settled(c) for lines in kinds.values() for line in lines for c in line}
    left_out = sum(not known[c] for c in known)
    print(f"{len(known)} different characters; {left_out} more left out, whose class depends on the Unicode version")
    kinds = {kind: ["".join(c for c in line if known[c]) for line in lines] for kind, lines in kinds.items()}
    composed = normalizers.NFC().normalize_str
    return {kind: [line for line in dict.fromkeys(lines) if composed(line) == unicodedata.normalize("NFC", line)]
            for kind, lines in kinds.items()}


def gpt2(corpus):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    fit(tokenizer, corpus, ["<|endoftext|>"])
    return tokenizer


def qwen2(corpus):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    fit(tokenizer, corpus, [])
    for content, special, flags in ADDED:
        token = AddedToken(content, **{"normalized": False, **flags})
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    return tokenizer


def llama3(corpus):
    """As Llama 3: whole words that are entries are taken without merging, and some entries have no merges at all."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    fit(tokenizer, corpus, [])
    description = json.loads(tokenizer.to_str())
    vocabulary = description["model"]["vocab"]
    for line in corpus[:len(SENTENCES)]:
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(line)[::3]:
            vocabulary.setdefault(piece, len(vocabulary))  # without merges: reached by the whole word only
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.add_special_tokens([AddedToken("<|begin|>", normalized=False), AddedToken("<|eos|>", normalized=False)])
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1",
                                      special_tokens=[("<|begin|>", begin)])])
    return tokenizer


def fit(tokenizer, corpus, specials):
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=specials, show_progress=False, min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


def hexed(text):
    return text.encode("utf-8").hex()


def write_references(name, tokenizer, lines):
    with (GOLDEN / f"{name}.jsonl").open("w") as out:
        for text in lines:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            special_ids = tokenizer.encode(text, add_special_tokens=True).ids
            decoded = tokenizer.decode(ids, skip_special_tokens=False)
            skipped = tokenizer.decode(ids, skip_special_tokens=True)
            entry = {"text": hexed(text), "ids": ids}
            if special_ids != ids:
                entry["special_ids"] = special_ids
            if decoded != text:
                entry["decoded"] = hexed(decoded)
            if skipped != decoded:
                entry["skipped"] = hexed(skipped)
            out.write(json.dumps(entry, separators=(",", ":")) + "\n")
    draw = random.Random(len(name))
    size = tokenizer.get_vocab_size()
    specials = [token for token, added in tokenizer.get_added_tokens_decoder().items()]
    with (GOLDEN / f"{name}.decode.jsonl").open("w") as out:
        for _ in range(400):
            ids = [draw.choice(specials) if draw.random() < 0.1 else draw.randrange(256 + 8) if draw.random() < 0.5
                   else draw.randrange(size) for _ in range(draw.randrange(1, 24))]
            decoded, skipped = (tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True))
            entry = {"ids": ids, "decoded": hexed(decoded)}
            if skipped != decoded:
                entry["skipped"] = hexed(skipped)
            out.write(json.dumps(entry, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--brook", type=pathlib.Path, default=ROOT / "models/shipped/brook/tokenizer.json")
    arguments = parser.parse_args()
    kinds = texts()
    lines = [line for group in kinds.values() for line in group]
    print(f"{len(lines)} texts: " + ", ".join(f"{len(group)} {kind}" for kind, group in kinds.items()))
    GOLDEN.mkdir(parents=True, exist_ok=True)
    corpus = kinds["sentence"] * 4 + kinds["fragment"]
    for make in (gpt2, qwen2, llama3):
        tokenizer = make(corpus)
        folder = GOLDEN / make.__name__
        folder.mkdir(exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        write_references(make.__name__, Tokenizer.from_file(str(folder / "tokenizer.json")), lines)
    write_references("brook", Tokenizer.from_file(str(arguments.brook)), lines)


if __name__ == "__main__":
    main()
