#!/usr/bin/env python3
"""Checks that transformers opens the folders that `llm convert --to hf` makes of GGUF files, and computes the same with them.

    python tests/peers/hf_folders.py target/release/llm [--only NAME]

The files are those of tests/fixtures/gguf, which llama.cpp's converter made of checkpoints of every family; beside them stand the greedy
tokens that transformers made with these checkpoints. No parameter may be missing or left over. Needs `torch` and `transformers`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "gguf"


@torch.inference_mode()
def compare(folder, expected):
    """What differs in the folder's model; nothing where it is the same."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for kind in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
        if info.get(kind):
            return f"{kind}: {sorted(map(str, info[kind]))[:6]}"
    for prompt in expected["prompts"]:
        ids = list(prompt["prompt_tokens"])
        for step, token in enumerate(prompt["tokens"]):
            logits = model(torch.tensor([ids])).logits[0, -1]
            best = int(logits.argmax())
            if best != token and float(logits[best] - logits[token]) > 1e-3:
                return f"prompt {prompt['name']}: token {step} is {best}, expected {token}"
            ids.append(token)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llm", type=Path)
    parser.add_argument("--only", help="one file, without its ending")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    failed = 0
    for file in sorted(FIXTURES.glob("*.gguf")):
        if arguments.only not in (None, file.stem):
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "hf"
            command = [arguments.llm.resolve(), "convert", file, out, "--to", "hf", "--dtype", "f32", "--quiet"]
            done = subprocess.run(command, capture_output=True, text=True)
            try:
                differs = done.stderr.strip() if done.returncode else compare(out, json.loads(file.with_suffix(".json").read_text()))
            except Exception as error:  # whatever transformers says about the folder
                differs = f"{type(error).__name__}: {error}"
        failed += differs is not None
        print(f"{'ok    ' if differs is None else 'FAILED'} {file.stem}{'' if differs is None else ': ' + differs}", flush=True)
    sys.exit(f"{failed} folders differ" if failed else 0)


if __name__ == "__main__":
    main()
