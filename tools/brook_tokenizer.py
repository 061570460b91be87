"""Brook's tokenizer: a byte-level BPE of 4096 entries, trained on the training split of the corpus alone.

    python tools/brook_tokenizer.py --corpus build/brook/corpus.jsonl --out build/brook/tokenizer

All 256 bytes are entries, so every string round-trips. `<|bos|>` is put before every text by the post-processor;
`<|eos|>` ends a document.
"""
import argparse
import json
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS = "<|bos|>", "<|eos|>"
VOCABULARY = 4096
# Contractions; words with one leading other character; numbers by three digits; punctuation; white space.
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def train(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[BOS, EOS], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[(BOS, bos)])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=pathlib.Path, default=pathlib.Path("build/brook/corpus.jsonl"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/brook/tokenizer"))
    arguments = parser.parse_args()
    with arguments.corpus.open(encoding="utf-8") as corpus:
        documents = [json.loads(line) for line in corpus]
    tokenizer = train(document["text"] for document in documents if document["split"] == "train")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, model_max_length=1024,
                            clean_up_tokenization_spaces=False).save_pretrained(arguments.out)
    path = arguments.out / "tokenizer_config.json"  # the class has this name in every version of transformers
    settings = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2) + "\n")
    for split in ("train", "held_out"):
        texts = [document["text"] for document in documents if document["split"] == split]
        tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts, add_special_tokens=False))
        size = sum(len(text.encode()) for text in texts)
        print(f"{split:8} {tokens} tokens, {size / tokens:.3f} bytes a token")
    print(f"{tokenizer.get_vocab_size()} entries")


if __name__ == "__main__":
    main()
