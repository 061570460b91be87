"""Makes the vocabularies and reference ids that Sluice's GGUF and SentencePiece tokenizers are tested against.

    python tools/make_gguf_tokenizer_golden.py                       # the small ones
    python tools/make_gguf_tokenizer_golden.py --smollm2 MODEL.gguf  # and those of the real SmolLM2

The texts are those of make_tokenizer_golden.py, which has to run first; the references are those of `tokenizers`
(Hugging Face) and of `sentencepiece`. Written are, in tests/golden/tokenizers:

NAME.gguf.json  a vocabulary as GGUF has it; "tokens" and "merges" are hex. NAME is
    bytes         byte-level BPE whose merges reach over words, so that every cut of a text shows; control, user-defined
                  and unused tokens, and some without merges
    prefix        SentencePiece BPE with byte fallback and a space before every text
    plain         the same without that space, with user-defined tokens (runs of spaces and of newlines, a tag)
    across        as `prefix`, with tokens that reach over spaces
    unknown       SentencePiece BPE without byte tokens
NAME/tokenizer.json     the same as `transformers` converts such models: prefix in the old manner (a normalizer),
    metaspace_always (`prefix`), metaspace_first, metaspace_split (`across`), gemma (`plain`);
    falcon is `bytes` in the manner of Falcon 7B, which goes on to cut behind ByteLevel
smollm2.prompts         ids, " = ", hex of a text: what llama.cpp makes of it with that model (not made by this script)
NAME.ids        reference ids, a line for each text of gpt2.jsonl: their number, a hash of all, and the first eight; then, behind " = ",
                the hex of what they are decoded to, where that is not the text. NAME is one of the above, or
    bytes.PRE     `bytes` cut as models with that `tokenizer.ggml.pre` do, special tokens recognised (tokenizers)
    prefix.sp, plain.sp, across.sp, unknown.sp    no special tokens recognised (sentencepiece)
    smollm2       the real one, special tokens recognised (tokenizers)
NAME.decoded    random ids, " = ", hex of their text; only such as make well-formed UTF-8
"""
import argparse
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from make_tokenizer_golden import GOLDEN, LLAMA3, QWEN2, SENTENCES, texts

QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"
CONTROLS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]"]
FIRST_IDS = 8


def hexed(text):
    return (text if isinstance(text, bytes) else text.encode("utf-8")).hex()


def hash_of(ids):
    """FNV-1a over the ids as little-endian numbers of four bytes."""
    value = 0x811c9dc5
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value


def write_ids(name, lines, encode, decode):
    with (GOLDEN / f"{name}.ids").open("w") as out:
        for text in lines:
            ids = encode(text)
            decoded = decode(ids) if decode else text
            fields = [str(len(ids)), f"{hash_of(ids):08x}", *map(str, ids[:FIRST_IDS])]
            out.write(" ".join(fields) + ("" if decoded == text else f" = {hexed(decoded)}") + "\n")


def write_decoded(name, draw_id, decode):
    draw = random.Random(len(name))
    with (GOLDEN / f"{name}.decoded").open("w") as out:
        written = 0
        while written < 300:
            ids = [draw_id(draw) for _ in range(draw.randrange(1, 12))]
            text = decode(ids)
            if "\ufffd" in text:
                continue
            out.write(" ".join(map(str, ids)) + f" = {hexed(text)}\n")
            written += 1


def write_vocabulary(name, fields):
    entry = {key: [hexed(text) for text in value] if key in ("tokens", "merges") else value
             for key, value in fields.items()}
    (GOLDEN / f"{name}.gguf.json").write_text(json.dumps(entry, separators=(",", ":")) + "\n")


def references(tokenizer):
    """How the `tokenizers` library encodes and decodes, special tokens recognised and shown."""
    return (lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
            lambda ids: tokenizer.decode(ids, skip_special_tokens=False))


# --- byte-level ---------------------------------------------------------------------------------------------------------

def byte_level_stages(pre):
    """The normalizer and the pre-tokenizer of the models that have this `tokenizer.ggml.pre`."""
    def split(pattern):
        return pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return {
        "gpt-2": (None, gpt2),
        "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])),
        "qwen2": (normalizers.NFC(), split(QWEN2)),
        "qwen35": (normalizers.NFC(), split(QWEN35)),
        "llama-bpe": (None, split(LLAMA3)),
    }[pre]


def byte_level_tokenizer(pre, vocabulary, merges, types):
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=pre == "llama-bpe"))
    normalizer, tokenizer.pre_tokenizer = byte_level_stages(pre)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    for token, index in sorted(vocabulary.items(), key=lambda item: item[1]):
        if types[index] in (CONTROL, USER):
            added = AddedToken(token, normalized=False, special=types[index] == CONTROL)
            (tokenizer.add_special_tokens if added.special else tokenizer.add_tokens)([added])
    return tokenizer


def make_byte_level(corpus, lines):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=1500, show_progress=False, min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=12))
    model = json.loads(trained.to_str())["model"]
    vocabulary, merges = model["vocab"], [tuple(pair) for pair in model["merges"]]
    types = [NORMAL] * len(vocabulary)

    def add(token, kind):
        vocabulary[token] = len(types)
        types.append(kind)

    # Whole words without merges, for Llama 3's way.
    pre_tokenizer = byte_level_stages("llama-bpe")[1]
    for line in SENTENCES:
        for piece, _ in pre_tokenizer.pre_tokenize_str(line)[::3]:
            if piece not in vocabulary:
                add(piece, NORMAL)
    for token in CONTROLS:
        add(token, CONTROL)
    for token in ("<tool_call>", "<|im", "token"):
        add(token, USER)
    for number in range(5):
        add(f"[PAD{number}]", UNUSED)
    order = [token for token, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    write_vocabulary("bytes", {
        "model": "gpt2", "tokens": order, "types": types, "merges": [" ".join(pair) for pair in merges],
        "bos": vocabulary["<|im_start|>"], "eos": vocabulary["<|endoftext|>"], "add_bos": False})
    used = {token: index for token, index in vocabulary.items() if types[index] != UNUSED}
    tokenizer = byte_level_tokenizer("gpt-2", used, merges, types)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation(behavior="contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), behavior="isolated", invert=False)])
    save("falcon", tokenizer, lines)
    for pre in ("gpt-2", "smollm", "qwen2", "qwen35", "llama-bpe"):
        write_ids(f"bytes.{pre}", lines, *references(byte_level_tokenizer(pre, used, merges, types)))


# --- SentencePiece ------------------------------------------------------------------------------------------------------

def train_sentence_piece(corpus, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line.replace("\n", " ") for line in corpus), model_writer=model, model_type="bpe",
        normalization_rule_name="identity", remove_extra_whitespaces=False, control_symbols=CONTROLS,
        num_threads=1, minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def pieces_of(processor):
    """Pieces, types and scores, as a GGUF converter writes them: user-defined pieces with real spaces."""
    pieces, types, scores = [], [], []
    for index in range(processor.get_piece_size()):
        kind = (UNKNOWN if processor.is_unknown(index) else CONTROL if processor.is_control(index) else
                BYTE if processor.is_byte(index) else UNUSED if processor.is_unused(index) else NORMAL)
        pieces.append(processor.id_to_piece(index))
        types.append(kind)
        scores.append(processor.get_score(index))
    return pieces, types, scores


def decode_with(processor):
    return lambda ids: processor.decode(ids)


def merges_by_score(vocabulary, scores):
    """Every pair that makes a token, the highest score first, as `transformers` converts such models."""
    merges = []
    for token, index in vocabulary.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((scores[index], len(left), len(right), (left, right)))
    return [pair for _, _, _, pair in sorted(merges, key=lambda merge: merge[:3], reverse=True)]


def character_tokenizer(pieces, types, scores, normalizer, pre_tokenizer, strip):
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    plain = {piece: index for piece, index in vocabulary.items() if types[index] in (NORMAL, USER)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges_by_score(plain, scores), unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
                                           *([decoders.Strip(" ", 1, 0)] if strip else [])])
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False) for piece, kind in zip(pieces, types)
                                  if kind in (UNKNOWN, CONTROL)])
    return tokenizer


def save(name, tokenizer, lines):
    (GOLDEN / name).mkdir(exist_ok=True)
    tokenizer.save(str(GOLDEN / name / "tokenizer.json"), pretty=False)
    write_ids(name, lines, *references(tokenizer))


def make_sentence_piece(corpus, lines):
    # With a space before every text: Llama 2, Mistral, TinyLlama.
    processor = train_sentence_piece(corpus, vocab_size=1300, byte_fallback=True, add_dummy_prefix=True,
                                     character_coverage=0.98)
    pieces, types, scores = pieces_of(processor)
    write_vocabulary("prefix", {"model": "llama", "pre": "default", "tokens": pieces, "types": types,
                                "scores": scores, "bos": 1, "eos": 2, "unknown": 0})
    decode = decode_with(processor)
    write_ids("prefix.sp", lines, lambda text: processor.encode(text), decode)
    visible = [index for index, kind in enumerate(types) if kind == NORMAL]
    write_decoded("prefix", lambda draw: draw.choice(visible), decode)
    replace = normalizers.Replace(" ", SPACE)
    tokenizer = character_tokenizer(pieces, types, scores, normalizers.Sequence([normalizers.Prepend(SPACE), replace]),
                                    None, True)
    save("prefix", tokenizer, lines)
    save("metaspace_always", character_tokenizer(pieces, types, scores, None, pre_tokenizers.Metaspace(
        replacement=SPACE, prepend_scheme="always", split=False), True), lines)

    # With tokens that reach over spaces.
    processor = train_sentence_piece(corpus, vocab_size=1300, byte_fallback=True, add_dummy_prefix=True,
                                     character_coverage=0.98, split_by_whitespace=False)
    pieces, types, scores = pieces_of(processor)
    write_vocabulary("across", {"model": "llama", "tokens": pieces, "types": types, "scores": scores, "bos": 1,
                                "eos": 2, "unknown": 0})
    write_ids("across.sp", lines, lambda text: processor.encode(text), decode_with(processor))
    for name, split in (("metaspace_first", False), ("metaspace_split", True)):
        save(name, character_tokenizer(pieces, types, scores, None, pre_tokenizers.Metaspace(
            replacement=SPACE, prepend_scheme="first", split=split), True), lines)

    # Without: Gemma.
    user = ["\n\n", "\n\n\n", SPACE * 2, SPACE * 3, "<table>"]
    processor = train_sentence_piece(corpus, vocab_size=1200, byte_fallback=True, add_dummy_prefix=False,
                                     user_defined_symbols=user)
    pieces, types, scores = pieces_of(processor)
    types = [USER if piece in user else kind for piece, kind in zip(pieces, types)]
    write_vocabulary("plain", {
        "model": "llama", "pre": "default", "types": types, "scores": scores, "bos": 1, "eos": 2, "unknown": 0,
        "tokens": [piece.replace(SPACE, " ") if kind == USER else piece for piece, kind in zip(pieces, types)],
        "add_space_prefix": False})
    write_ids("plain.sp", lines, lambda text: processor.encode(text), decode_with(processor))
    save("gemma", character_tokenizer(pieces, types, scores, replace, pre_tokenizers.Split(
        " ", behavior="merged_with_previous", invert=False), False), lines)

    # Without byte tokens.
    processor = train_sentence_piece(corpus, vocab_size=900, add_dummy_prefix=True, character_coverage=0.98)
    pieces, types, scores = pieces_of(processor)
    write_vocabulary("unknown", {"model": "llama", "tokens": pieces, "types": types, "scores": scores, "bos": 1,
                                 "eos": 2, "unknown": 0})
    write_ids("unknown.sp", lines, lambda text: processor.encode(text), None)


# --- SmolLM2 ------------------------------------------------------------------------------------------------------------

def make_smollm2(path, lines):
    import gguf

    fields = gguf.GGUFReader(str(path)).fields
    value = lambda key: fields["tokenizer.ggml." + key].contents()
    vocabulary = {token: index for index, token in enumerate(value("tokens"))}
    merges = [tuple(merge.split(" ")) for merge in value("merges")]
    write_ids("smollm2", lines, *references(byte_level_tokenizer("smollm", vocabulary, merges, value("token_type"))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smollm2", type=pathlib.Path)
    arguments = parser.parse_args()
    kinds = texts()
    with (GOLDEN / "gpt2.jsonl").open() as references_of_gpt2:
        lines = [bytes.fromhex(json.loads(line)["text"]).decode("utf-8") for line in references_of_gpt2]
    corpus = kinds["sentence"] * 4 + kinds["fragment"]
    make_byte_level(corpus, lines)
    make_sentence_piece(corpus, lines)
    if arguments.smollm2:
        make_smollm2(arguments.smollm2, lines)


if __name__ == "__main__":
    main()
