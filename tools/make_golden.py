"""Makes the reference logits and greedy continuations that Sluice's decoders are tested against.

    python tools/make_golden.py tiny                 # the random models and their references
    python tools/make_golden.py brook                # the reference of models/shipped/brook; again after each export

The references are computed by Hugging Face transformers (attn_implementation="eager", no cache, one sequence at a time)
on the files that are written, so they also say how transformers reads each form of config.json.

tests/golden/models/<name>/   config.json and model.safetensors of a random model (no tokenizer); see MODELS below
tests/golden/<name>.safetensors   the reference; n_i is the length of prompt i, i = 0 .. 9:
    ids             [k]       I32   the vocabulary entries whose logits are stored
    prompt.<i>      [n_i]     I32   token ids; lengths 1 2 15 16 17 63 64 65 200 512
    logits_fp32.<i> [n_i, k]  F32   logits at every position: float32 weights (bf16 ones widened) and arithmetic
    logits_bf16.<i> [n_i, k]  BF16  the same of a run in bfloat16 (fp32 weights rounded to nearest even)
    argmax.<i>      [n_i]     I32   the entry of the whole vocabulary with the highest fp32 logit
    greedy.<i>      [64]      I32   the fp32 greedy continuation; an end-of-sequence entry does not end it
    margin.<i>      [64]      F32   first minus second highest fp32 logit at each of those steps, >= MARGIN
    __metadata__              "reference": the model's folder and the version of transformers
The error of a position is ||ours - reference||_2 / ||reference||_2 over the k stored entries.
"""
import argparse
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoConfig, AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen3Config)

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden"
LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 200, 512]
STORED = {"gemma3": 32, "qwen2_yarn": 16}  # of 64 in all others
GREEDY = 64
# A prompt is drawn again where its continuation has a closer call than MARGIN, so that no test hangs on a rounding,
# and where the bfloat16 run of transformers itself is further than NOISE from its float32 run at some position, since
# a test against such a reference would measure the reference's luck.
MARGIN = 2e-3
TEMPERATURE = 0.7  # of the shipped model's own texts
NOISE = {"tiny": 1.5e-2, "brook": 1.4e-2}

COMMON = dict(vocab_size=512, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-5,
              tie_word_embeddings=False)  # brook has tied ones

# Deviations of the random weights, in units that keep a unit input at unit size.
GAINS = {"q_proj": 0.9, "k_proj": 0.9, "o_proj": 0.5, "down_proj": 0.5, "lm_head": 2.0}
# Gemma's embedding is also the head, and comes multiplied by sqrt(hidden_size). It is of this size then, and the
# branches of half a unit each; a final norm of both signs keeps a token from seeing itself in the logits.
TIED = 2.0

# name: (configuration, dtype of the checkpoint, form of config.json). "v5" is what transformers 5 writes
# (rope_parameters, dtype); "v4" the form of nearly all published models (rope_theta, rope_scaling, torch_dtype).
MODELS = {
    "llama": (LlamaConfig(**COMMON, head_dim=32, rope_parameters=dict(
        rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64)), torch.bfloat16, "v5"),
    "llama_linear": (LlamaConfig(**COMMON, head_dim=16, attention_bias=True, rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=4.0)), torch.float32, "v4"),
    "llama_yarn": (LlamaConfig(**COMMON, head_dim=32, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=256)), torch.bfloat16, "v5"),
    "mistral": (MistralConfig(**COMMON, head_dim=16, sliding_window=64), torch.float32, "v4"),
    "qwen2": (Qwen2Config(**COMMON, rope_parameters=dict(
        rope_type="default", rope_theta=1000000.0)), torch.bfloat16, "v4"),
    "qwen3": (Qwen3Config(**COMMON, head_dim=32, rope_parameters=dict(
        rope_type="default", rope_theta=1000000.0)), torch.float32, "v5"),
    # Two layers with a window, one without; the root of the width is no bf16; scores have a scale of their own.
    "gemma3": (Gemma3TextConfig(**{**COMMON, "hidden_size": 80, "intermediate_size": 96, "num_key_value_heads": 1,
                                   "rms_norm_eps": 1e-6, "tie_word_embeddings": True},
        head_dim=32, query_pre_attn_scalar=24, sliding_window=40, sliding_window_pattern=3, rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=4.0),
            sliding_attention=dict(rope_type="default", rope_theta=10000.0))), torch.bfloat16, "v4"),
    # What the model cards of Qwen2.5 tell users to add to config.json; the context stays as it was before.
    "qwen2_yarn": (Qwen2Config(**{**COMMON, "max_position_embeddings": 256, "num_hidden_layers": 1}, rope_parameters=dict(
        rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=256)), torch.bfloat16, "v4"),
}


def randomise(model, seed):
    """Weights for which every part of the network shows in the logits (norms and biases are not neutral, branches are
    of the size of the residual stream), yet so tame that a bfloat16 run stays close to the exact one."""
    generator = torch.Generator().manual_seed(seed)
    is_gemma3 = model.config.model_type == "gemma3_text"
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.data = 0.2 * noise
        elif "norm" in name:
            parameter.data = 1.0 + 0.2 * noise
            if is_gemma3:
                weight = noise if name == "model.norm.weight" else parameter.data - (0.5 if "post_" in name else 0.0)
                parameter.data = weight - 1.0  # its files hold what is above 1
        elif "embed_tokens" in name:
            parameter.data = noise * (TIED / parameter.shape[1] ** 0.5 if is_gemma3 else 1.0)
        else:
            gain = GAINS.get(name.split(".")[-2], 1.0)
            parameter.data = gain * noise / parameter.shape[1] ** 0.5


def write_model(name, seed):
    config, dtype, form = MODELS[name]
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, seed)
    model = model.to(dtype)
    folder = GOLDEN / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    if form == "v4":
        path = folder / "config.json"
        written = json.loads(path.read_text())
        rope = written.pop("rope_parameters")
        if "full_attention" in rope:  # of Gemma 3
            written["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
            rope = rope["full_attention"]
            written["sliding_window_pattern"] = written.pop("_sliding_window_pattern")
        kind = rope.pop("rope_type")
        written["rope_theta"] = rope.pop("rope_theta")
        word = "rope_type" if name == "gemma3" else "type"
        written["rope_scaling"] = None if kind == "default" else {word: kind, **rope}
        written["torch_dtype"] = written.pop("dtype")
        written["transformers_version"] = "4.51.0"
        written.pop("layer_types", None)
        path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    read = AutoConfig.from_pretrained(folder)
    for key, value in config.rope_parameters.items():
        if read.rope_parameters[key] != value:
            raise SystemExit(f"{folder}: transformers reads rope {key} as {read.rope_parameters[key]}, not {value}")
    if getattr(read, "layer_types", None) != getattr(config, "layer_types", None):
        raise SystemExit(f"{folder}: transformers reads layer_types as {read.layer_types}, not {config.layer_types}")
    return folder


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=ids[None], use_cache=False).logits[0]


def continuation(model, prompt):
    """Greedy tokens and their margins, or None as soon as a margin is below MARGIN."""
    ids, tokens, margins = prompt, [], []
    for _ in range(GREEDY):
        best = torch.topk(logits_of(model, ids)[-1], 2)
        margins.append((best.values[0] - best.values[1]).item())
        if margins[-1] < MARGIN:
            return None
        tokens.append(best.indices[0].item())
        ids = torch.cat([ids, best.indices[:1]])
    return torch.tensor(tokens, dtype=torch.int32), torch.tensor(margins)


def random_prompt(model, length, generator):
    return torch.randint(0, model.config.vocab_size, (length,), generator=generator)


def sampled_prompt(model, length, generator):
    """A text of the model's own: its beginning-of-sequence entry, then samples."""
    ids, cache = torch.tensor([[model.config.bos_token_id]]), None
    while ids.shape[1] < length:
        with torch.no_grad():
            out = model(input_ids=ids if cache is None else ids[:, -1:], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        draw = torch.multinomial(torch.softmax(out.logits[0, -1] / TEMPERATURE, 0), 1, generator=generator)
        ids = torch.cat([ids, draw[None]], dim=1)
    return ids[0]


def write_reference(name, folder, prompts, limit, seed):
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    exact, rounded = load(torch.float32), load(torch.bfloat16)
    generator = torch.Generator().manual_seed(seed)
    vocabulary = exact.config.vocab_size
    ids = torch.randperm(vocabulary, generator=generator)[:STORED.get(name, 64)].sort().values
    tensors, worst, margin, kinds = {"ids": ids.to(torch.int32)}, 0.0, 1e9, []
    attempts = []
    for index, length in enumerate(LENGTHS):
        draw = prompts[0] if length == LENGTHS[-1] else prompts[index % len(prompts)]
        for attempt in range(200):
            prompt = draw(exact, length, generator)
            logits, low = logits_of(exact, prompt), logits_of(rounded, prompt)
            noise = ((low.float() - logits)[:, ids].norm(dim=1) / logits[:, ids].norm(dim=1)).max().item()
            greedy = continuation(exact, prompt) if noise <= limit else None
            if greedy is not None:
                break
        else:
            raise SystemExit(f"{name}: no prompt of {length} tokens is far from every rounding")
        attempts.append(attempt + 1)
        print(f"{name}: {length} tokens", end="\r", file=sys.stderr, flush=True)
        tensors[f"prompt.{index}"] = prompt.to(torch.int32)
        tensors[f"logits_fp32.{index}"] = logits[:, ids].contiguous()
        tensors[f"logits_bf16.{index}"] = low[:, ids].to(torch.bfloat16).contiguous()
        tensors[f"argmax.{index}"] = logits.argmax(-1).to(torch.int32)
        tensors[f"greedy.{index}"], tensors[f"margin.{index}"] = greedy
        worst, margin = max(worst, noise), min(margin, greedy[1].min().item())
        kinds.append(len(set(greedy[0].tolist())))
    path = GOLDEN / f"{name}.safetensors"
    save_file(tensors, path, {"reference": f"{folder.relative_to(ROOT)}, transformers {transformers.__version__}"})
    path.chmod(0o644)
    print(f"{name:13} {path.stat().st_size:8} bytes; logit deviation {tensors['logits_fp32.9'].std():.2f}; bf16 run "
          f"differs from fp32 by at most {worst:.4f}; least margin {margin:.4f}; "
          f"draws {attempts}; distinct greedy tokens {kinds}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["tiny", "brook"])
    parser.add_argument("--only", choices=list(MODELS), help="one of the tiny models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    if arguments.what == "brook":
        write_reference("brook", ROOT / "models/shipped/brook", [sampled_prompt, random_prompt],
                        NOISE["brook"], 7)
        return
    for seed, name in enumerate(MODELS):
        if arguments.only in (None, name):
            write_reference(name, write_model(name, 100 + seed), [random_prompt], NOISE["tiny"], seed)


if __name__ == "__main__":
    main()
