"""Random tokenizers of every kind that the `tokenizers` library makes, and its ids and texts for random inputs.

    python tests/differential/tokenizers_cases.py --seed 1 --count 200 cases.json

The test `random_tokenizers_agree_with_the_library` of llm-infer compares our tokenizer with the file that LLM_TOKENIZER_CASES names.
The file that is committed is `--seed 1 --count 16 --terse`, by tokenizers 0.22.2, the version of our own.
"""

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the quick brown fox jumps over the lazy dog", "hello world, hello there!", "ab abc abcd abcde", "1234 567 89", "été à l'école, ça va?",
    "straße und Ärger", "你好 世界", "emoji 🌍 🎉 text", "  spaces   and\ttabs\n", "I'm can't won't they're", "UPPER lower MiXeD", "x = y + z; // note",
]
PARTS = [
    "hello", "Hello world", " ", "  ", "\n", "\t", "abc", "ABCD", "été", "e\u0301", "ﬁne", "Å", "你好", "世", "🌍", "👩‍👩‍👧", "1", "12", "12345", ",", "!?", "...", "I'm", "they're",
    "\u00a0", "\u200b", "ñ", "ß", "İ", "\u0130x", "_", "a_b", "▁", "▁a", "Ġ", "<0x41>", "\x00", "\u2028", "zz", "x=y;", "½", "①", "한국어", "اللغة", "\ufeff", "\U0010ffff",
]


def normalizer(rng):
    kinds = [
        lambda: normalizers.NFC(), lambda: normalizers.NFKC(), lambda: normalizers.NFD(), lambda: normalizers.NFKD(), lambda: normalizers.Lowercase(),
        lambda: normalizers.Strip(rng.random() < 0.5, rng.random() < 0.5), lambda: normalizers.StripAccents(), lambda: normalizers.Replace(" ", "▁"),
        lambda: normalizers.Replace(Regex(" {2,}"), " "), lambda: normalizers.Prepend("▁"), lambda: normalizers.Nmt(), lambda: normalizers.BertNormalizer(),
        lambda: normalizers.Replace("a", "bb"),
    ]
    chosen = [rng.choice(kinds)() for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    return None if not chosen else chosen[0] if len(chosen) == 1 else normalizers.Sequence(chosen)


def pre_tokenizer(rng, byte_level, metaspace):
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    kinds = [
        lambda: pre_tokenizers.Digits(rng.random() < 0.5), lambda: pre_tokenizers.Punctuation(rng.choice(behaviors)), lambda: pre_tokenizers.WhitespaceSplit(),
        lambda: pre_tokenizers.Whitespace(), lambda: pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+"), rng.choice(behaviors)), lambda: pre_tokenizers.Split(",", rng.choice(behaviors)),
        lambda: pre_tokenizers.UnicodeScripts(), lambda: pre_tokenizers.BertPreTokenizer(), lambda: pre_tokenizers.Split(Regex(r"\s+(?!\S)|\s+"), "isolated", rng.random() < 0.2),
    ]
    chosen = [rng.choice(kinds)() for _ in range(rng.choice([0, 0, 1, 2]))]
    if byte_level:
        chosen.append(pre_tokenizers.ByteLevel(add_prefix_space=rng.random() < 0.3, use_regex=rng.random() < 0.6))
    elif metaspace:
        chosen.append(pre_tokenizers.Metaspace("▁", rng.choice(["always", "first", "never"]), rng.random() < 0.8))
    return None if not chosen else chosen[0] if len(chosen) == 1 else pre_tokenizers.Sequence(chosen)


def decoder(rng, byte_level, metaspace, byte_fallback):
    if byte_level:
        return decoders.ByteLevel()
    if metaspace and rng.random() < 0.6:
        return decoders.Metaspace("▁", rng.choice(["always", "first", "never"]), True)
    chosen = [decoders.Replace("▁", " ")]
    if byte_fallback or rng.random() < 0.3:
        chosen.append(decoders.ByteFallback())
    if rng.random() < 0.8:
        chosen.append(decoders.Fuse())
        chosen += [decoders.Strip(" ", rng.randint(0, 2), 0)] if rng.random() < 0.6 else []
    return rng.choice([decoders.Sequence(chosen), decoders.Sequence(chosen), None, decoders.WordPiece(), decoders.Fuse(), decoders.BPEDecoder(), decoders.Strip(" ", 1, 1)])


def build(rng, terse):
    """A tokenizer with a little of everything."""
    kind = rng.choice(["bpe", "bpe", "metaspace", "metaspace", "unigram", "unigram", "wordpiece", "wordlevel"] if not terse else ["bpe", "metaspace", "unigram", "wordpiece"])
    byte_level = kind == "bpe"
    metaspace = kind in ("metaspace", "unigram")
    byte_fallback = kind == "metaspace" and rng.random() < 0.8
    size = rng.choice([300, 330] if byte_level else [60, 120])
    corpus = rng.sample(CORPUS, 8)
    special = [] if kind in ("bpe", "metaspace") and rng.random() < 0.5 else ["<unk>"]
    special = special or (["<unk>"] if kind in ("unigram", "wordpiece", "wordlevel") else [])
    if kind in ("bpe", "metaspace"):
        options = {"byte_fallback": byte_fallback, "fuse_unk": rng.random() < 0.5, "ignore_merges": rng.random() < 0.3}
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if special else None, **options))
        alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
        added = special + ([f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else [])
        trainer = trainers.BpeTrainer(vocab_size=size + len(added), special_tokens=added, initial_alphabet=alphabet, show_progress=False)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizer(rng, byte_level, metaspace)
    tokenizer.train_from_iterator(corpus, trainer)
    if byte_fallback:
        # The bytes are tokens of the model and not added ones.
        whole = json.loads(tokenizer.to_str())
        whole["added_tokens"] = [token for token in whole["added_tokens"] if not token["content"].startswith("<0x")]
        tokenizer = Tokenizer.from_str(json.dumps(whole))
    if (chosen := normalizer(rng)) is not None:
        tokenizer.normalizer = chosen
    if (chosen := decoder(rng, byte_level, metaspace, byte_fallback)) is not None:
        tokenizer.decoder = chosen
    flag = lambda: rng.random() < 0.3  # noqa: E731
    for content in rng.sample(["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[MASK]", "<think>", "hello", "été", "    ", "ABC", "<|user|>", "a"], rng.randint(1, 6)):
        token = AddedToken(content, lstrip=flag(), rstrip=flag(), single_word=flag(), normalized=flag(), special=content[0] in "<[" and rng.random() < 0.8)
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    added = [(token.content, id) for id, token in tokenizer.get_added_tokens_decoder().items() if token.content.strip()]
    if added and rng.random() < 0.5:
        (first, first_id), (last, last_id) = rng.choice(added), rng.choice(added)
        single = rng.choice([f"{first} $A", f"{first} $A {last}", f"$A {last}", f"{first} {last} $A"])
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=[(first, first_id), (last, last_id)])
    elif byte_level and rng.random() < 0.3:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return kind, tokenizer


def case(rng, terse):
    """A tokenizer with what it makes of texts and ids."""
    kind, tokenizer = build(rng, terse)
    # Through the file, as it is what ours reads.
    text = tokenizer.to_str()
    tokenizer = Tokenizer.from_str(text)
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    vocabulary = sorted(tokenizer.get_vocab().values())
    texts, decoded = [], []
    for _ in range(6 if terse else 20):
        parts = [rng.choice(added) if rng.random() < 0.15 else rng.choice(PARTS) for _ in range(rng.randint(0, 8))]
        line = rng.choice(["", " "]).join(parts)
        texts.append({"text": line, "ids": tokenizer.encode(line, add_special_tokens=False).ids, "special_ids": tokenizer.encode(line).ids, "marks": any(token.strip() in line for token in added)})
    lists = [entry["ids"] for entry in texts] + [rng.choices(vocabulary, k=rng.randint(0, 12)) for _ in range(6 if terse else 20)]
    for ids in lists:
        decoded.append({"ids": ids, "all": tokenizer.decode(ids, skip_special_tokens=False), "plain": tokenizer.decode(ids, skip_special_tokens=True)})
    return {"kind": kind, "tokenizer": json.loads(text), "texts": texts, "decoded": decoded}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--terse", action="store_true", help="fewer kinds and texts")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    cases = []
    while len(cases) < options.count:
        try:
            cases.append(case(rng, options.terse))
        except BaseException as error:  # noqa: BLE001: the library panics on some of these
            if isinstance(error, KeyboardInterrupt):
                raise
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    options.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(cases)} tokenizers, {sum(len(case['texts']) for case in cases)} texts, {sum(len(case['decoded']) for case in cases)} lists of ids")


if __name__ == "__main__":
    main()
