#!/usr/bin/env python3
"""Kills `llm quantize` with SIGKILL at random moments and looks at what is left, see kills.py (FAULTS.md, row 60).

    python3 tests/faults/kill_quantize.py target/release/llm [--runs 100] [--model builtin] [--seed 1]
"""

import kills


def main():
    given = kills.arguments(__doc__, 100)

    def quantize(scheme, out):
        return [given.llm, "quantize", given.model, str(out), "--scheme", scheme, "--device", "cpu", "--quiet"]

    kills.rounds(given.llm, quantize, ["int4", "int8"], "out", given.runs, given.seed)


if __name__ == "__main__":
    main()
