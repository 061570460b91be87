"""Ways to damage a model on disk, each told by what the server's message has to name."""

import dataclasses
import json
import struct
import typing


def read_safetensors(path):
    """(header, bytes of the tensors)"""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_safetensors(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def weights(folder):
    return next(iter(sorted(folder.glob("*.safetensors"))))


def edit_header(change):
    """Damage that `change(header, name of a matrix)` does to the header."""

    def damage(folder):
        path = weights(folder)
        header, data = read_safetensors(path)
        name = sorted(name for name in header if name.endswith("mlp.up_proj.weight"))[0]
        change(header, name)
        write_safetensors(path, header, data)

    return damage


def edit_json(file, change):
    def damage(folder):
        path = folder / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def take_tensor_out(folder):
    """The tensor is gone and the file is sound again: the others move up."""
    path = weights(folder)
    header, data = read_safetensors(path)
    name = next(name for name in sorted(header) if name.endswith("layers.0.mlp.up_proj.weight"))
    first, last = header.pop(name)["data_offsets"]
    for entry in header.values():
        offsets = entry.get("data_offsets")
        if offsets and offsets[0] >= last:
            entry["data_offsets"] = [offset - (last - first) for offset in offsets]
    write_safetensors(path, header, data[:first] + data[last:])


def cut_half(folder):
    path = weights(folder)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def write(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def swap_shape(header, name):
    header[name]["shape"].reverse()


def enlarge_shape(header, name):
    header[name]["shape"][0] += 1


def move_beyond_the_end(header, name):
    first, last = header[name]["data_offsets"]
    header[name]["data_offsets"] = [first + 2**40, last + 2**40]


def end_before_start(header, name):
    header[name]["data_offsets"].reverse()


def unknown_type(header, name):
    header[name]["dtype"] = "F12"


def negative_shape(header, name):
    header[name]["shape"][0] = -1


def overflowing_shape(header, name):
    header[name]["shape"] = [2**32, 2**32, 2**32]


@dataclasses.dataclass
class Damage:
    do: typing.Callable
    names: list  # what the message names, each a substring or a pattern of one


# What stands in the place of large files where `git lfs pull` has not been run.
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 123456\n"

TENSOR = r"layers\.0\.mlp\.up_proj\.weight"
SAFETENSORS = r"\.safetensors"
NUMBER = r"\d+"

DAMAGES = {
    "weights are cut in half": Damage(cut_half, [SAFETENSORS, NUMBER]),
    "weights are empty": Damage(write("model.safetensors", b""), [SAFETENSORS]),
    "weights are seven bytes": Damage(write("model.safetensors", b"7 bytes"), [SAFETENSORS, NUMBER]),
    "weights are a Git LFS pointer": Damage(
        write("model.safetensors", LFS_POINTER), [SAFETENSORS, "Git LFS pointer", "123456 bytes"]
    ),
    "tokenizer is a Git LFS pointer": Damage(write("tokenizer.json", LFS_POINTER), ["tokenizer.json", "Git LFS pointer"]),
    "weights are text": Damage(write("model.safetensors", b"version https://git-lfs " * 40), [SAFETENSORS]),
    "weights promise a header of 2^60 bytes": Damage(
        write("model.safetensors", struct.pack("<Q", 2**60) + b"{}" * 100), [SAFETENSORS, str(2**60)]
    ),
    "weights have a header that is no JSON": Damage(
        write("model.safetensors", struct.pack("<Q", 20) + b"{" * 20), [SAFETENSORS]
    ),
    "weights are gone": Damage(lambda folder: weights(folder).unlink(), [SAFETENSORS]),
    "a tensor has its sides swapped": Damage(edit_header(swap_shape), [SAFETENSORS, TENSOR, NUMBER]),
    "a tensor has a row too many": Damage(edit_header(enlarge_shape), [SAFETENSORS, TENSOR, NUMBER]),
    "a tensor lies beyond the end": Damage(edit_header(move_beyond_the_end), [SAFETENSORS, TENSOR, NUMBER]),
    "a tensor ends before it starts": Damage(edit_header(end_before_start), [SAFETENSORS, TENSOR, NUMBER]),
    "a tensor has an unknown type": Damage(edit_header(unknown_type), [SAFETENSORS, TENSOR, "F12"]),
    "a tensor has a negative side": Damage(edit_header(negative_shape), [SAFETENSORS, TENSOR]),
    "a tensor has more elements than numbers": Damage(edit_header(overflowing_shape), [SAFETENSORS, TENSOR]),
    "a tensor is missing": Damage(take_tensor_out, [TENSOR]),
    "a tensor leaves a hole": Damage(edit_header(lambda header, name: header.pop(name)), [SAFETENSORS, NUMBER]),
    "config.json is gone": Damage(lambda folder: (folder / "config.json").unlink(), [r"config\.json"]),
    "config.json is no JSON": Damage(write("config.json", b'{"hidden_size": '), [r"config\.json"]),
    "config.json is a list": Damage(write("config.json", b"[]"), [r"config\.json"]),
    "config.json names an unknown architecture": Damage(
        edit_json("config.json", lambda c: c.update(architectures=["FooForCausalLM"], model_type="foo")), ["(?i)foo"]
    ),
    "config.json has no heads": Damage(
        edit_json("config.json", lambda c: c.update(num_attention_heads=0)), [r"config\.json", "num_attention_heads"]
    ),
    "config.json has text for a number": Damage(
        edit_json("config.json", lambda c: c.update(hidden_size="many")), [r"config\.json", "hidden_size"]
    ),
    "config.json has a layer too many": Damage(
        edit_json("config.json", lambda c: c.update(num_hidden_layers=c["num_hidden_layers"] + 1)), [r"layers\.\d+\."]
    ),
    "tokenizer.json is gone": Damage(lambda folder: (folder / "tokenizer.json").unlink(), [r"tokenizer\.json"]),
    "tokenizer.json is no JSON": Damage(write("tokenizer.json", b"<html>"), [r"tokenizer\.json"]),
    "tokenizer.json has a merge of unknown parts": Damage(
        edit_json("tokenizer.json", lambda c: c["model"]["merges"].insert(0, ["\u4e00\u4e00", "\u4e01\u4e01"])),
        [r"tokenizer\.json"],
    ),
}
