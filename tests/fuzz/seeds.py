"""Writes the seeds of every target to corpus/<target>: small valid files, from which the fuzzer starts.

    python tests/fuzz/seeds.py        # needs torch and tokenizers
"""

import io
import json
import struct
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = Path(__file__).parent / "corpus"
FIXTURES = Path(__file__).parent.parent / "fixtures"
TEXTS = ["hello world", "a b c", "été 你好", "12 34"]


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def gguf(model, tokens, kinds):
    """A llama of one layer, 32 wide, whose matrices are of these kinds."""
    # The regular expressions of a known cutting take longer to build than everything else here.
    scores = [struct.pack("<f", -float(i)) for i in range(len(tokens))]
    keys = [key("general.architecture", 8, text("llama"))]
    keys += [key(f"llama.{name}", 4, struct.pack("<I", value)) for name, value in [("block_count", 1), ("embedding_length", 32), ("feed_forward_length", 32), ("context_length", 64), ("attention.head_count", 2), ("attention.head_count_kv", 1)]]
    keys += [key("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)), key("tokenizer.ggml.model", 8, text(model)), key("tokenizer.ggml.tokens", 9, array(8, [text(token) for token in tokens]))]
    keys += [key("tokenizer.ggml.scores", 9, array(6, scores))] if model != "gpt2" else [key("tokenizer.ggml.merges", 9, array(8, [text("a b")])), key("tokenizer.ggml.pre", 8, text("none"))]
    keys += [key("tokenizer.chat_template", 8, text("{{ messages[0].content }}"))]
    names = [("token_embd.weight", (32, len(tokens))), ("output_norm.weight", (32,)), ("blk.0.attn_norm.weight", (32,)), ("blk.0.ffn_norm.weight", (32,))]
    names += [(f"blk.0.{name}.weight", shape) for name, shape in [("attn_q", (32, 32)), ("attn_k", (32, 16)), ("attn_v", (32, 16)), ("attn_output", (32, 32)), ("ffn_gate", (32, 32)), ("ffn_up", (32, 32)), ("ffn_down", (32, 32))]]
    header, data = b"", b""
    for at, (name, shape) in enumerate(names):
        kind, bytes_of_32 = kinds[at % len(kinds)] if len(shape) == 2 else (0, 128)
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        header += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", dim) for dim in shape) + struct.pack("<IQ", kind, len(data))
        data += bytes(count // 32 * bytes_of_32)
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(names), len(keys)) + b"".join(keys) + header
    return head + bytes(-len(head) % 32) + data


def llama2c(version):
    sizes = (4, 6, 1, 2, 1, 5, 8)
    numbers = 2 * 4 + 4 * 4 * 2 + 2 * 4 * 2 + 3 * 4 * 6 + 4 + 5 * 4
    if version == 0:
        return struct.pack("<7i", *sizes) + bytes(4 * (numbers + 16))
    return (struct.pack("<Ii7iBi", 0x616B3432, version, *sizes, 1, 4)).ljust(256, b"\0") + bytes(4 * numbers)


def saved(**options):
    file = io.BytesIO()
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"model.norm.weight": whole[0], "model.embed_tokens.weight": whole.t().to(torch.bfloat16), "epoch": 3}, file, **options)
    return file.getvalue()


def tokenizer(model, trainer, pre_tokenizer, decoder, normalizer=None):
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizer
    made.decoder = decoder
    if normalizer:
        made.normalizer = normalizer
    made.train_from_iterator(TEXTS, trainer)
    return made.to_str()


def main():
    write("gguf", "llama", gguf("llama", ["<unk>", "<s>", "</s>", "<0x61>", "▁", "a", "▁a"], [(0, 128), (1, 64), (8, 34)]))
    write("gguf", "gpt2", gguf("gpt2", ["a", "b", "ab", "Ġ"], [(2, 18), (3, 20), (6, 22), (30, 64)]))
    write("gguf", "t5", gguf("t5", ["<pad>", "</s>", "<unk>", "▁a", "b"], [(7, 24), (20, 18), (0, 128)]))
    for version in (0, 1):
        write("llama2c", f"v{version}", llama2c(version))
    write("pytorch", "zip", saved())
    write("pytorch", "legacy", saved(_use_new_zipfile_serialization=False))
    header = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}}
    write("safetensors_header", "two", json.dumps(header))
    alphabet = pre_tokenizers.ByteLevel.alphabet()[:40]
    write("tokenizer", "bpe", tokenizer(models.BPE(), trainers.BpeTrainer(vocab_size=60, initial_alphabet=alphabet, show_progress=False), pre_tokenizers.ByteLevel(), decoders.ByteLevel()))
    unigram = trainers.UnigramTrainer(vocab_size=40, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    write("tokenizer", "unigram", tokenizer(models.Unigram(), unigram, pre_tokenizers.Metaspace(), decoders.Metaspace(), normalizers.NFKC()))
    pieces = trainers.WordPieceTrainer(vocab_size=40, special_tokens=["<unk>", "<s>"], show_progress=False)
    write("tokenizer", "wordpiece", tokenizer(models.WordPiece(unk_token="<unk>"), pieces, pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(), normalizers.BertNormalizer()))
    for model in ("bpe", "unigram"):
        write("tokenizer", f"sentencepiece-{model}", (FIXTURES / "sentencepiece" / f"{model}.model").read_bytes())
    for family in ("llama-yarn", "gemma3", "phi3", "qwen2_moe", "falcon", "cohere"):
        write("config", family, (FIXTURES / family / "config.json").read_bytes())
    write("config", "generation", json.dumps({"eos_token_id": [1, 2], "temperature": 0.5, "top_k": 3, "do_sample": True}))
    write("config", "tokens", json.dumps({"chat_template": [{"name": "default", "template": "{{ bos_token }}"}], "bos_token": {"content": "<s>"}}))
    for at, source in enumerate([
        "{% for m in messages %}<|{{ m.role }}|>{{ m['content']|trim }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{%- macro show(x, y=1) -%}{{ x|tojson(indent=2) }}{{ varargs }}{%- endmacro -%}{% for t in tools|default([]) %}{{ show(t.function, 2) }}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for m in messages[1:] if m.content is string %}{% set ns.n = ns.n + loop.index %}{{ '%05.2f' % ns.n }}{{ m.content.split('</think>')[-1][::-1] }}{% endfor %}",
        "{{ raise_exception('no') if messages|length > 9 else strftime_now('%d %b %Y') }}{% generation %}{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}{% endgeneration %}",
        "{% call(x) loop_all() %}{{ x }}{% endcall %}{% filter upper %}a{% endfilter %}{{ {'a': [1, 2.5, none]}.items()|list|sort|groupby(0) }}",
    ]):
        write("template", str(at), source)


if __name__ == "__main__":
    main()
