#!/usr/bin/env python3
"""Checks that llama.cpp and `llm` read each other's GGUF files and say the same (issue 4).

    python tests/peers/gguf_files.py target/release/llm [--cache FOLDER] [--data FOLDER]

Files that `llm convert` writes (F32, F16, Q8_0, Q4_0) are loaded by llama.cpp, and files of llama.cpp's own tools
(convert_hf_to_gguf.py as F32, F16, BF16 and Q8_0, llama-quantize as Q4_0) are loaded by `llm`. For every file both must make the same
ids of a prompt and the same 32 greedy tokens. llama.cpp reads the tokens that `llm` chose, so that all steps are compared even behind
a tie: where its best token is another one, its own preference for it must be below TIE, in logits, and is printed.

The Python must have `llama-cpp-python`, `torch`, `transformers` and `sentencepiece`; the tools of llama.cpp are those that build.py
makes. stories260K is read from the shared data where these are there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import llama_cpp
import numpy

import build

ROOT = Path(__file__).resolve().parents[2]
# Without llama-yarn: llama.cpp has the usual beta_fast and beta_slow whatever the file says, and `llm convert` warns of it.
FIXTURES = ["llama", "llama-biases", "llama-tied-llama3", "llama-linear", "qwen2-sharded", "qwen3"]
# Fixtures of other families, of which only what `llm convert` writes is compared: tests/fixtures/gguf has the converter's files of them.
# Without those that llama.cpp computes otherwise or refuses: windows it takes no notice of (mixtral, starcoder2), norms of heads in a
# command-r of few layers (cohere); the rest is refused by `llm convert`.
FAMILIES = [
    "falcon",
    "gemma",
    "gemma2-old",
    "gemma3-images",
    "gemma3-old",
    "glm4",
    "gpt2",
    "gpt_neox",
    "granite",
    "granite-biases",
    "mistral3",
    "mixtral-tied",
    "olmo2",
    "phi-old",
    "phi3",
    "stablelm",
    "stablelm-parallel",
]
# Files of llama.cpp's converter that `llm convert` writes again, as the fixtures of these families are others than it can say.
FILES = ["gptneox-sequential", "falcon-multi-query", "llama-moe", "phi2", "qwen2moe", "qwen3moe", "smollm3"]
PROMPT = "Once upon a time, there was a little"
STEPS = 32
# Largest preference for another token, in logits, that counts as a tie: activations are rounded to 8 bits beside quantized weights.
# llama.cpp rounds them by 256 beside the K types; of q2_k that moves tokens which the same weights in floats have as ours do.
TIE = {"f32": 0.01, "f16": 0.02, "bf16": 0.02, "q2_k": 0.75}
TIE_OF_BLOCKS = 0.25
# What llama-quantize makes; where rows are no multiple of 256 it has other types in place of the K ones.
BLOCKS = ["q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k", "iq4_nl"]

# The tool knows tokenizers by a hash of what they do, and random ones are none of those.
CONVERT = """
import sys
sys.path.insert(0, {folder!r})
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda *_: {pre!r}
sys.argv[0] = "convert_hf_to_gguf.py"
import convert_hf_to_gguf
convert_hf_to_gguf.main()
"""


def run(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: got exit status {done.returncode}, expected 0\n{done.stderr[-2000:]}")
    return done.stdout


def ours(llm, file):
    """What `llm` makes of the prompt: its ids and the greedy tokens after it."""
    flags = ["--temperature", "0", "--ignore-eos", "--max-tokens", STEPS, "--device", "cpu", "--no-cache", "--json", "--quiet"]
    answer = json.loads(run([llm, "generate", file, "--prompt", PROMPT, *flags]))
    return answer["prompt_tokens"], answer["tokens"], answer["text"]


def theirs(file, tokens):
    """llama.cpp's ids of the prompt, its logits at each step when it reads `tokens`, and the text of these."""
    model = llama_cpp.Llama(str(file), n_ctx=128, n_batch=128, logits_all=True, verbose=False, n_threads=1)
    prompt = model.tokenize(PROMPT.encode(), add_bos=True, special=False)
    model.eval(prompt + tokens[:-1])
    logits = numpy.array(model.scores[len(prompt) - 1 : len(prompt) + len(tokens) - 1])
    return prompt, logits, model.detokenize(tokens, prev_tokens=prompt).decode(errors="replace")


def compare(llm, file, kind):
    """Whether both say the same, and a line about it."""
    prompt, tokens, text = ours(llm, file)
    their_prompt, logits, their_text = theirs(file, tokens)
    if prompt != their_prompt:
        return False, f"prompt: ours {prompt}, llama.cpp's {their_prompt}"
    if len(tokens) != STEPS:
        return False, f"{len(tokens)} tokens"
    margins = [float(row.max() - row[token]) for row, token in zip(logits, tokens)]
    ties = [f"step {step}: {margin:.4f}" for step, margin in enumerate(margins) if margin > 0]
    same = max(margins) <= TIE.get(kind, TIE_OF_BLOCKS)
    if text.strip() != their_text.strip():
        return False, f"text: ours {text!r}, llama.cpp's {their_text!r}"
    return same, f"{STEPS - len(ties)} of {STEPS} tokens" + (f", ties: {', '.join(ties)}" if ties else "")


def copied(model, out):
    """A copy by another name, as that is in the file, and llama.cpp expects some tokens of a model that is called phi3.

    llama.cpp has the long factors of LongRoPE in any context that is longer than the model was first trained for, whatever the length of
    the text: here they are the short ones.
    """
    if model.is_file():
        return shutil.copy(model, out)
    shutil.copytree(model, out)
    config = json.loads((out / "config.json").read_text())
    for key in ["rope_scaling", "rope_parameters"]:
        if "short_factor" in (config.get(key) or {}):
            config[key]["long_factor"] = config[key]["short_factor"]
    (out / "config.json").write_text(json.dumps(config))
    return out


def written_by_us(llm, model, folder):
    # A .bin has its tokens in a file beside it.
    if isinstance(model, Path) and model.suffix != ".bin":
        model = copied(model, folder / f"random{model.suffix}")
    for kind in ["f32", "f16", "q8_0", "q4_0"]:
        file = folder / f"ours-{kind}.gguf"
        run([llm, "convert", model, file, "--dtype", kind, "--quiet"])
        yield kind, file


def written_by_them(llm, model, folder, cache, tokens):
    """Files of llama.cpp's tools, made of a Hugging Face folder."""
    source, quantize = build.llama_source(cache), build.llama(cache, os.cpu_count()) / "llama-quantize"
    hugging_face = folder / "hf"
    run([llm, "convert", model, hugging_face, "--dtype", "f32", "--quiet"])
    if tokens:
        shutil.copy(tokens, hugging_face / "tokenizer.model")
    pre = "qwen2" if "qwen" in str(model) else "llama-bpe" if "llama3" in str(model) else "gpt-2"
    script = CONVERT.format(folder=str(source), pre=pre)
    for kind in ["f32", "f16", "bf16", "q8_0"]:
        file = folder / f"theirs-{kind}.gguf"
        run([sys.executable, "-c", script, hugging_face, "--outfile", file, "--outtype", kind], cwd=source)
        yield kind, file
    for kind in BLOCKS:
        file = folder / f"theirs-{kind}.gguf"
        run([quantize, folder / "theirs-f32.gguf", file, kind.upper()])
        yield kind, file


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llm", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "llm-peers")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LLM_TEST_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--only", help="one model")
    arguments = parser.parse_args()
    llm = arguments.llm.resolve()
    models = {"builtin": ("builtin", None)} | {name: (ROOT / "tests" / "fixtures" / name, None) for name in FIXTURES + FAMILIES}
    models |= {name: (ROOT / "tests" / "fixtures" / "gguf" / f"{name}.gguf", None) for name in FILES}
    stories = arguments.data / "models" / "stories260K"
    if stories.exists():
        models["stories260K"] = (stories / "stories260K.bin", stories / "tok512.sentencepiece.model")
    else:
        print(f"skipped: stories260K is not in {arguments.data}")
    failed = 0
    for name, (model, tokens) in models.items():
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            files = [*written_by_us(llm, model, folder)]
            if name not in FAMILIES + FILES:
                files += written_by_them(llm, model, folder, arguments.cache, tokens)
            for kind, file in files:
                same, line = compare(llm, file, kind)
                failed += not same
                print(f"{'ok    ' if same else 'FAILED'} {name}: {file.stem}: {line}", flush=True)
    sys.exit(f"{failed} files differ" if failed else 0)


if __name__ == "__main__":
    main()
