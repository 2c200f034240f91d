"""How each engine is called for a group of cases, and what its output means.

Every engine measures once after a warm-up of its own; rounds and medians are compare.py's.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import models

# Times that llama-batched-bench is asked before its rows are missed.
ATTEMPTS = 3


@dataclass(frozen=True)
class Model:
    shape: str
    format: str
    gguf: Path


@dataclass(frozen=True)
class Reading:
    """What one run of a case gave; the limit of memory is only known of ours."""

    tokens_per_second: float
    share_of_limit: float | None = None
    read_bytes_per_second: float | None = None
    bits_per_weight: float | None = None


class Failure(Exception):
    """A process that failed, or that did not report what it was asked for."""


def output(command, **environment):
    """The lines that `command` prints."""
    command = [str(part) for part in command]
    try:
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error
    if result.returncode != 0:
        last = " / ".join(result.stderr.strip().splitlines()[-3:])
        raise Failure(f"{' '.join(command)}: got exit status {result.returncode}, expected 0: {last}")
    return result.stdout


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def joined(numbers):
    return ",".join(map(str, numbers))


def pick(rows, group, matches, reading):
    """The reading of each case of `group` in the rows of an engine."""
    found = {}
    for case in group:
        fitting = [row for row in rows if matches(row, case)]
        if len(fitting) != 1:
            raise Failure(f"{case.title()}: got {len(fitting)} rows, expected 1")
        found[case] = reading(fitting[0])
    return found


class Ours:
    name = "ours"

    def __init__(self, binary, threads):
        self.binary, self.threads = binary, threads

    def covers(self, model, case):
        return True

    def measure(self, model, group):
        first = group[0]
        lengths = ["--decode", first.tokens, "--prefill", 0]
        if first.test == "prefill":
            lengths = ["--prefill", joined(case.tokens for case in group), "--decode", 0]
        elif first.test == "batch":
            lengths += ["--batch", joined(case.batch for case in group)]
        asked = models.FORMATS[model.format]
        subject = [model.gguf] if asked is None else ["--shape", model.shape, *asked]
        command = [self.binary, "bench", *subject, "--device", "cpu", *lengths,
                   "--depth", first.depth, "--threads", self.threads, "--runs", 1, "--json"]

        def matches(row, case):
            test = "prefill" if case.test == "prefill" else "decode"
            return (row["test"], row["tokens"], row["depth"], row["batch"]) == (test, case.tokens, case.depth, case.batch)

        def reading(row):
            return Reading(row["tokens_per_second"]["median"], row["share_of_limit"], row["read_bytes_per_second"], row["bits_per_weight"])

        return pick(json_lines(output(command)), group, matches, reading)


class LlamaCpp:
    """llama.cpp's two ways to compute attention are two engines, as on CPUs its default is not always the faster one."""

    def __init__(self, name, programs, threads, flash_attention):
        self.name, self.programs, self.threads, self.flash_attention = name, programs, threads, flash_attention

    def covers(self, model, case):
        return True

    def measure(self, model, group):
        return self.batches(model, group) if group[0].test == "batch" else self.single(model, group)

    def single(self, model, group):
        prefill = group[0].test == "prefill"
        tokens = joined(case.tokens for case in group)
        command = [self.programs / "llama-bench", "--model", model.gguf, "--threads", self.threads, "--repetitions", 1,
                   "--n-depth", group[0].depth, "--n-prompt", tokens if prefill else 0, "--n-gen", 0 if prefill else tokens,
                   "--flash-attn", self.flash_attention, "--output", "jsonl"]

        def matches(row, case):
            return row["n_prompt" if prefill else "n_gen"] == case.tokens and row["n_depth"] == case.depth

        return pick(json_lines(output(command)), group, matches, lambda row: Reading(row["avg_ts"]))

    def batches(self, model, group):
        tokens, batch = group[0].tokens, max(case.batch for case in group)
        # Each sequence has a cache of its own, rounded up to 256 positions; the prompt is one token.
        context = batch * -(-(1 + tokens) // 256) * 256
        command = [self.programs / "llama-batched-bench", "--model", model.gguf, "--threads", self.threads, "--ctx-size", context,
                   "--flash-attn", self.flash_attention, "-npp", 1, "-ntg", tokens, "-npl", joined(case.batch for case in group),
                   "--output-format", "jsonl"]

        def matches(row, case):
            return row["pl"] == case.batch and row["tg"] == case.tokens

        # Its logger is not flushed before it exits: on a busy machine the last rows may be lost.
        for _ in range(ATTEMPTS):
            rows = json_lines(output(command))
            if len(rows) == len(group):
                break
            print(f"note: {self.name} printed {len(rows)} of {len(group)} rows", file=sys.stderr)
        return pick(rows, group, matches, lambda row: Reading(row["speed_tg"]))


class Candle:
    name = "candle"

    def __init__(self, program, threads):
        self.program, self.threads = program, threads

    def covers(self, model, case):
        # It widens halves to f32, and has no decoding in batches.
        return model.format in ("q4_0", "q8_0") and case.test != "batch" and case.depth == 0

    def measure(self, model, group):
        found = {}
        for case in group:
            lengths = [case.tokens, 0] if case.test == "prefill" else [0, case.tokens]
            rows = json_lines(output([self.program, model.gguf, *lengths], RAYON_NUM_THREADS=str(self.threads)))
            found |= pick(rows, [case], lambda row, case: row["test"] == case.test, lambda row: Reading(row["tokens_per_second"]))
        return found
