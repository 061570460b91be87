"""Makes a random Llama of 134 million bf16 parameters, so that speed can be measured where no weights are.

    python tools/make_bench_model.py build/bench-model            # 269 MB; needs numpy alone

The folder can be served: its byte-level tokenizer has an entry for each of the 49152 ids, all of them ASCII but the
single bytes. The text is noise. The same seed gives the same bytes with the same version of numpy.
"""
import argparse
import itertools
import json
import pathlib
import string

import numpy

BOS, EOS = "<|bos|>", "<|eos|>"


def shapes(config):
    """The tensors of a Llama in the order they are written: name and shape."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "self_attn.q_proj.weight", (queries, hidden)
        yield prefix + "self_attn.k_proj.weight", (keys, hidden)
        yield prefix + "self_attn.v_proj.weight", (keys, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, queries)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "mlp.gate_proj.weight", (inner, hidden)
        yield prefix + "mlp.up_proj.weight", (inner, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)


def bfloat16(values):
    """The upper halves of float32 values, rounded to nearest even."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_weights(path, config, seed):
    """One safetensors file: length of the header, header, data. Returns the number of parameters."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes(config):
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    generator = numpy.random.default_rng(seed)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes(config):
            if len(shape) == 1:
                values = numpy.ones(shape, dtype=numpy.float32)
            else:
                values = generator.standard_normal(shape, dtype=numpy.float32) / numpy.float32(shape[1]) ** 0.5
            out.write(bfloat16(values).tobytes())
    return offset // 2


def byte_characters():
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = itertools.count(0x100)
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def tokenizer(size):
    """Bytes, then pairs of printable ASCII characters, then pairs of letters or blanks with a third letter."""
    characters = byte_characters()
    vocabulary = {token: number for number, token in enumerate([BOS, EOS, *characters])}
    merges = []
    printable = [characters[byte] for byte in range(0x20, 0x7f)]
    words = [characters[0x20], *string.ascii_letters]
    pairs = ((left, right) for left in printable for right in printable)
    triples = ((left + middle, right) for left in words for middle in words for right in string.ascii_lowercase)
    for left, right in itertools.chain(pairs, triples):
        if len(vocabulary) == size:
            break
        vocabulary[left + right] = len(vocabulary)
        merges.append([left, right])
    if len(vocabulary) != size:
        raise SystemExit(f"the tokenizer has {len(vocabulary)} entries at the most, not {size}")
    added = [{"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for number, token in enumerate([BOS, EOS])]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {BOS: {"id": BOS, "ids": [0], "tokens": [BOS]}}},
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": merges}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--intermediate", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--kv-heads", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "hidden_size": arguments.hidden, "intermediate_size": arguments.intermediate,
        "num_hidden_layers": arguments.layers, "num_attention_heads": arguments.heads,
        "num_key_value_heads": arguments.kv_heads, "head_dim": arguments.hidden // arguments.heads,
        "vocab_size": arguments.vocabulary, "max_position_embeddings": arguments.context, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "tie_word_embeddings": True,
        "attention_bias": False, "mlp_bias": False, "bos_token_id": 0, "eos_token_id": 1}
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1}, indent=2) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(arguments.vocabulary)) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS,
        "model_max_length": arguments.context, "clean_up_tokenization_spaces": False}, indent=2) + "\n")
    parameters = write_weights(folder / "model.safetensors", config, arguments.seed)
    print(f"{parameters} parameters in {folder}")


if __name__ == "__main__":
    main()
