"""Random models in the shapes that `llm bench --shape` knows, as GGUF files in the cache folder."""

import json
import re
import sys
from pathlib import Path

import build
import machine

HERE = Path(__file__).resolve().parent
SHAPES_SOURCE = HERE.parents[1] / "llm-cli" / "src" / "commands" / "bench" / "shapes.rs"
SHAPES = ["smollm2-135m", "qwen2.5-0.5b", "tinyllama-1.1b", "llama-3.2-1b"]

# Format of the GGUF file -> how ours is asked for the same number of bits; None where it reads that file.
FORMATS = {
    "q4_0": ["--quantize", "int4"],
    "q4_0-pure": ["--quantize", "int4-pure"],
    "q8_0": ["--quantize", "int8"],
    "f16": ["--dtype", "f16"],
    "bf16": ["--dtype", "bf16"],
    "q4_k_m": None,
    "q5_k_m": None,
    "q6_k": None,
}


def config(shape):
    """The configuration of `shape`, read from the source of our bench, so that both sides measure the same."""
    found = re.search(rf'"{re.escape(shape)}" => json!\((\{{.*?\}})\)', SHAPES_SOURCE.read_text(), re.DOTALL)
    if found is None:
        sys.exit(f"error: {SHAPES_SOURCE.name}: {shape}: got no configuration, expected `json!({{…}})`")
    return json.loads(re.sub(r",\s*\}", "}", found[1]))


def parameters(config):
    hidden, head_dim = config["hidden_size"], config["hidden_size"] // config["num_attention_heads"]
    attention = 2 * hidden * hidden + 2 * hidden * head_dim * config["num_key_value_heads"]
    layer = attention + 3 * hidden * config["intermediate_size"]
    tables = 1 if config["tie_word_embeddings"] else 2
    return config["num_hidden_layers"] * layer + tables * hidden * config["vocab_size"]


def bits_per_weight(shape, path):
    return 8 * path.stat().st_size / parameters(config(shape))


def ensure(shape, formats, cache, programs):
    """Paths of the GGUF files of `shape` by format; those that are missing are made from one with f16 weights."""
    folder = cache / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{shape}-{name}.gguf" for name in [*formats, "f16"]}
    missing = [name for name in formats if not paths[name].exists()]
    source = paths["f16"]
    if missing and not source.exists():
        replace(cache, source, lambda partial: [build.python(cache), HERE / "random_gguf.py", json.dumps(config(shape)), partial])
    for name in missing:
        if name != "f16":
            pure = ["--pure"] if name.endswith("-pure") else []
            kind = name.removesuffix("-pure").upper()
            replace(cache, paths[name], lambda partial: [programs / "llama-quantize", *pure, source, partial, kind, machine.cores()])
    if "f16" not in formats:
        source.unlink(missing_ok=True)
    return {name: paths[name] for name in formats}


def replace(cache, path, command):
    """Lets `command` write a file that has its name only when it is whole."""
    partial = path.with_suffix(".partial")
    build.run(cache, command(partial))
    partial.replace(path)
