#!/usr/bin/env python3
"""Kills `llm convert` with SIGKILL at random moments and looks at what is left, see kills.py (FAULTS.md, row 60).

    python3 tests/faults/kill_convert.py target/release/llm [--runs 50] [--model builtin] [--seed 1]

Once into a GGUF file, once into a Hugging Face folder.
"""

import kills


def main():
    given = kills.arguments(__doc__, 50)

    def convert(dtype, out):
        return [given.llm, "convert", given.model, str(out), "--dtype", dtype, "--quiet"]

    for name in ["out.gguf", "out"]:
        kills.rounds(given.llm, convert, ["f32", "f16"], name, given.runs, given.seed)


if __name__ == "__main__":
    main()
