"""Brook's corpus: public-domain texts from three Debian packages, cut into documents and split for training.

Needs the packages bible-kjv, bible-kjv-text, dict-jargon and dict-devil, installed or unpacked under a folder:

    apt-get install bible-kjv bible-kjv-text dict-jargon dict-devil
    python tools/brook_corpus.py --out build/brook/corpus.jsonl

Every line of the result is {"source", "title", "text", "split"}; `split` is "train" or "held_out" and is a function of
source and title alone, so no later change of order or seed can leak a held-out document into the training set.
"""
import argparse
import gzip
import hashlib
import json
import pathlib
import re
import subprocess

BOOKS = """Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth 1_Samuel 2_Samuel 1_Kings 2_Kings
1_Chronicles 2_Chronicles Ezra Nehemiah Esther Job Psalms Proverbs Ecclesiastes Song_of_Solomon Isaiah Jeremiah
Lamentations Ezekiel Daniel Hosea Joel Amos Obadiah Jonah Micah Nahum Habakkuk Zephaniah Haggai Zechariah Malachi
Matthew Mark Luke John Acts Romans 1_Corinthians 2_Corinthians Galatians Ephesians Philippians Colossians
1_Thessalonians 2_Thessalonians 1_Timothy 2_Timothy Titus Philemon Hebrews James 1_Peter 2_Peter 1_John 2_John 3_John
Jude Revelation""".split()
HELD_OUT_PERCENT = 3
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def split_of(source, title):
    """A document's side of the split: a hash of its name, so that it never changes."""
    digest = hashlib.sha256(f"{source}\n{title}".encode()).digest()
    return "held_out" if int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT else "train"


def bible(root):
    """One document a chapter: its name, then one verse a line. The program prints `Ge1:1 text` for every verse."""
    command = [root / "usr/bin/bible", "-p", root / "usr/lib", "-f", "gen1:1-rev22:21"]
    output = subprocess.run(command, capture_output=True, check=True).stdout.decode("latin-1")
    chapters, seen = {}, []
    for line in output.splitlines():
        match = re.match(r"(\d?[A-Za-z]+)(\d+):(\d+) (.*)", line)
        if not match:
            continue
        book, chapter, _, verse = match.groups()
        if book not in seen:
            seen.append(book)
        name = BOOKS[len(seen) - 1].replace("_", " ")
        chapters.setdefault((name, chapter), []).append(" ".join(verse.split()))
    if len(seen) != len(BOOKS) or len(chapters) != 1189:
        raise SystemExit(f"bible: {len(seen)} books and {len(chapters)} chapters, not {len(BOOKS)} and 1189")
    for (book, chapter), verses in chapters.items():
        title = f"{'Psalm' if book == 'Psalms' else book} {chapter}"
        yield title, title + "\n\n" + "\n".join(verses)


def number(text):
    """A dictd index number: base 64, the most significant digit first."""
    value = 0
    for letter in text:
        value = value * 64 + ALPHABET.index(letter)
    return value


def entries(root, name):
    """The articles of a dictd database in their order, each once even where several headwords point at it."""
    data = gzip.open(root / f"usr/share/dictd/{name}.dict.dz").read()
    places = {}
    for line in (root / f"usr/share/dictd/{name}.index").read_text().splitlines():
        headword, start, size = line.split("\t")[:3]
        if not headword.startswith("00database") and not headword.startswith("00-database"):
            places.setdefault((number(start), number(size)), headword)
    for (start, size), headword in sorted(places.items()):
        yield headword, data[start:start + size].decode("utf-8", errors="replace")


def unwrap(block, indent):
    """Joins the lines of a wrapped paragraph; leaves verse, lists and programs as they are."""
    lines = [line.rstrip() for line in block.split("\n")]
    prose = all(len(line) >= 50 for line in lines[:-1]) and all(
        len(line) - len(line.lstrip()) <= indent for line in lines[1:])
    if prose:
        return " ".join(" ".join(lines).split())
    base = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[base:] if len(line) - len(line.lstrip()) < 30 else line.strip() for line in lines)


def jargon(root):
    """One document an entry: the headword with its pronunciation and grammar, then paragraphs."""
    for headword, text in entries(root, "jargon"):
        head, _, body = text.strip("\n").partition("\n\n")
        head = " ".join(line.strip() for line in head.split("\n") if line.strip() not in ("", "//"))
        blocks = [unwrap(block, 4) for block in re.split(r"\n\s*\n", body.strip("\n")) if block.strip()]
        text = head + "\n\n" + "\n\n".join(blocks)
        yield headword, re.sub(r"\{([^{}\n]{1,60})\}", r"\1", text).strip()


def devil(root):
    """One document an entry; verse keeps its lines."""
    for headword, text in entries(root, "devil"):
        blocks = [unwrap(block, 0) for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()]
        yield headword, "\n\n".join(blocks).strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages-root", type=pathlib.Path, default=pathlib.Path("/"),
                        help="where the Debian packages are installed or unpacked")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/brook/corpus.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    digest, totals = hashlib.sha256(), {}
    with arguments.out.open("w", encoding="utf-8") as out:
        for source, read in (("bible", bible), ("jargon", jargon), ("devil", devil)):
            for title, text in read(arguments.packages_root):
                split = split_of(source, title)
                line = json.dumps({"source": source, "title": title, "text": text, "split": split}, ensure_ascii=False)
                out.write(line + "\n")
                digest.update(line.encode() + b"\n")
                documents, size = totals.get((source, split), (0, 0))
                totals[source, split] = documents + 1, size + len(text.encode())
    for (source, split), (documents, size) in totals.items():
        print(f"{source:7} {split:8} {documents:5} documents {size:8} bytes")
    print(f"sha256 {digest.hexdigest()}")


if __name__ == "__main__":
    main()
