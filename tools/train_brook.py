"""Trains Brook, the language model that ships with Sluice, on the CPU, and exports it in Hugging Face format.

    python tools/brook_corpus.py --out build/brook/corpus.jsonl          # see there for the Debian packages it reads
    python tools/brook_tokenizer.py --corpus build/brook/corpus.jsonl --out build/brook/tokenizer
    python tools/train_brook.py train                                    # resumes from its last checkpoint
    python tools/train_brook.py export --to models/shipped/brook         # bf16 safetensors, configuration, tokenizer
    python tools/train_brook.py evaluate --model models/shipped/brook    # the held-out loss of what was exported
    python tools/train_brook.py sample --model models/shipped/brook --prompt "In the beginning"

The schedule is warm-up, constant, then linear to zero over the last steps; the rate at a step of the constant part does
not depend on --steps, so a run can be stopped there and resumed with another end. Batch k is a function of the seed
and k alone. Default arguments are those of the shipped model.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import time

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

CONTEXT = 1024
TOKENS_A_STEP = 4096
SHAPES = [(8, 512), (8, 512), (8, 512), (4, 1024)]  # (sequences, tokens) of steps 0, 1, 2, 3, then again
BOS, EOS = 0, 1


def configuration():
    return LlamaConfig(vocab_size=4096, hidden_size=256, intermediate_size=704, num_hidden_layers=6,
                       num_attention_heads=4, num_key_value_heads=2, head_dim=64, max_position_embeddings=CONTEXT,
                       rope_theta=10000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, attention_bias=False,
                       mlp_bias=False, bos_token_id=BOS, eos_token_id=EOS)


def documents(corpus, tokenizer, split):
    """The documents of a split as int64 arrays: <|bos|> text <|eos|>; and their size in bytes of text."""
    with corpus.open(encoding="utf-8") as lines:
        texts = [entry["text"] for entry in map(json.loads, lines) if entry["split"] == split]
    encodings = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [numpy.array([BOS, *ids, EOS]) for ids in encodings], sum(len(text.encode()) for text in texts)


class Stream:
    """The training documents end to end, shuffled anew every epoch, cut into batches."""

    def __init__(self, parts, seed):
        self.parts, self.seed, self.epoch = parts, seed, -1
        self.length = sum(len(part) for part in parts)

    def load(self, epoch):
        if epoch != self.epoch:
            order = numpy.random.default_rng([self.seed, epoch]).permutation(len(self.parts))
            self.tokens = numpy.concatenate([self.parts[i] for i in order])
            self.starts = numpy.flatnonzero(self.tokens == BOS)
            self.epoch = epoch

    def batch(self, step):
        """Inputs and targets of one step. Every other window is moved back to the beginning of its document, so
        that the model sees whole documents from position 0, as it does when it is served."""
        rows, columns = SHAPES[step % len(SHAPES)]
        windows = []
        for row in range(rows):
            place = step * TOKENS_A_STEP + row * columns
            self.load(place // self.length)
            start = min(place % self.length, self.length - columns - 1)
            if row % 2:
                start = self.starts[numpy.searchsorted(self.starts, start, side="right") - 1]
            windows.append(self.tokens[start:start + columns + 1])
        block = torch.from_numpy(numpy.stack(windows))
        return block[:, :-1], block[:, 1:]


def loss_of(model, inputs, targets):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=inputs, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def rate(step, arguments):
    """The learning rate of a step as a part of its peak."""
    warm = (step + 1) / arguments.warm_up
    cool = (arguments.steps - step) / arguments.cool_down
    return max(0.0, min(1.0, warm, cool))


def train(arguments):
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    parts, _ = documents(arguments.corpus, tokenizer, "train")
    stream = Stream(parts, arguments.seed)
    held, _ = documents(arguments.corpus, tokenizer, "held_out")
    held = numpy.concatenate([held[i] for i in numpy.random.default_rng(0).permutation(len(held))])
    held = torch.from_numpy(held[:16 * 512 + 1])
    held = held[:-1].view(16, 512), held[1:].view(16, 512)

    model = LlamaForCausalLM(configuration())
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [torch.optim.Muon(matrices, lr=arguments.rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
                  torch.optim.AdamW(others, lr=arguments.rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]
    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint, log = arguments.work / "checkpoint.pt", arguments.work / "training.log"
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        first = saved["step"]
        kept = [line for line in log.read_text().splitlines() if line.startswith("#") or int(line.split()[0]) <= first]
        log.write_text("\n".join(kept) + "\n")
        print(f"resumed at step {first}", flush=True)
    else:
        log.write_text(f"# {sum(p.numel() for p in model.parameters())} parameters, {stream.length} training tokens\n"
                       "# step  train loss (nats/token)  held-out loss (8192 tokens)  part of peak rate  tokens/s\n")
    compiled = torch.compile(loss_of, dynamic=False) if arguments.compile else loss_of

    def save(step):
        torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step},
                   checkpoint.with_suffix(".new"))
        os.replace(checkpoint.with_suffix(".new"), checkpoint)

    sum_of_losses, since, saved_at = 0.0, time.monotonic(), time.monotonic()
    for step in range(first, arguments.steps):
        part = rate(step, arguments)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = arguments.rate * part
        loss = compiled(model, *stream.batch(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        sum_of_losses += loss.item()
        if (step + 1) % arguments.report == 0 or step + 1 == arguments.steps:
            steps = (step + 1) % arguments.report or arguments.report
            steps = min(steps, step + 1 - first)
            speed = steps * TOKENS_A_STEP / (time.monotonic() - since)
            held_out = ""
            if (step + 1) % (arguments.report * 4) == 0 or step + 1 == arguments.steps:
                with torch.no_grad():
                    held_out = f"{loss_of(model, *held).item():.4f}"
            with log.open("a") as out:
                out.write(f"{step + 1:6d}  {sum_of_losses / steps:.4f}  {held_out or '-':6s}  {part:.4f}  "
                          f"{speed:.0f}\n")
            sum_of_losses, since = 0.0, time.monotonic()
        if time.monotonic() - saved_at > 120 or step + 1 == arguments.steps:
            save(step + 1)
            saved_at = time.monotonic()


def export(arguments):
    saved = torch.load(arguments.work / "checkpoint.pt")
    model = LlamaForCausalLM(configuration())
    model.load_state_dict(saved["model"])
    model = model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS)
    model.save_pretrained(arguments.to)
    (arguments.to / "model.safetensors").chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(arguments.tokenizer / name, arguments.to / name)
    size = sum(path.stat().st_size for path in arguments.to.iterdir())
    print(f"step {saved['step']}: {model.num_parameters()} parameters, {size} bytes in the folder")


def evaluate(arguments):
    """The loss on every held-out document, each from its own <|bos|>, in pieces of at most CONTEXT tokens; float32
    arithmetic on the exported weights."""
    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    parts, size = documents(arguments.corpus, tokenizer, "held_out")
    total, count = 0.0, 0
    with torch.no_grad():
        for part in parts:
            for start in range(0, len(part) - 1, CONTEXT):
                piece = torch.from_numpy(part[start:start + CONTEXT + 1])
                logits = model(input_ids=piece[None, :-1], use_cache=False).logits[0]
                total += torch.nn.functional.cross_entropy(logits, piece[1:], reduction="sum").item()
                count += len(piece) - 1
    print(f"held-out: {len(parts)} documents, {count} tokens, {size} bytes: {total / count:.4f} nats/token, "
          f"{total / math.log(2) / size:.4f} bits/byte")


def sample(arguments):
    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    for seed in arguments.seeds:
        torch.manual_seed(seed)
        ids = tokenizer(arguments.prompt, return_tensors="pt")["input_ids"]
        out = model.generate(ids, max_new_tokens=arguments.tokens, do_sample=arguments.temperature > 0,
                             temperature=arguments.temperature or None, top_p=0.95 if arguments.temperature else None,
                             pad_token_id=EOS)
        print(f"--- seed {seed}\n{tokenizer.decode(out[0], skip_special_tokens=True)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["train", "export", "evaluate", "sample"])
    folder = pathlib.Path("build/brook")
    parser.add_argument("--corpus", type=pathlib.Path, default=folder / "corpus.jsonl")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=folder / "tokenizer")
    parser.add_argument("--work", type=pathlib.Path, default=folder / "run")
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/shipped/brook"))
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("models/shipped/brook"))
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--cool-down", type=int, default=960)
    parser.add_argument("--rate", type=float, default=3e-3, help="the peak learning rate")
    parser.add_argument("--seed", type=int, default=1611)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", type=int, default=25, help="steps between two lines of the log")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    {"train": train, "export": export, "evaluate": evaluate, "sample": sample}[arguments.command](arguments)


if __name__ == "__main__":
    main()
