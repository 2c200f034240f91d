#!/usr/bin/env python3
"""Kills `llm quantize` with SIGKILL at random moments and looks at what is left (FAULTS.md, row 60).

    python3 tests/faults/kill_quantize.py target/release/llm [--runs 100] [--model builtin] [--seed 1]

Two rounds: into a new name, where afterwards there must be nothing or a complete model; and with `--force` over a model that is there,
where there must be the old one or the new one, complete. Complete is what `llm inspect --check` passes, with the weight file of a run
that was not disturbed. Leftovers of killed processes must be gone after the next run that ends by itself.
"""

import argparse
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time


def quantize(llm, model, out, scheme, *more):
    return [llm, "quantize", model, str(out), "--scheme", scheme, "--device", "cpu", "--quiet", *more]


def run(command):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def weights(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def killed(command, seconds):
    """Runs `command` for so long; whether it was still running then."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def check(llm, out, allowed, what):
    """The name of what stands at `out`, which must be one of `allowed` (hash of the weights, or None, to name)."""
    if not out.exists():
        if None in allowed:
            return allowed[None]
        sys.exit(f"{what}: nothing is left at {out}")
    found = allowed.get(weights(out))
    if found is None:
        sys.exit(f"{what}: {out} has weights that no undisturbed run wrote")
    run([llm, "inspect", str(out), "--check", "--quiet"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llm")
    parser.add_argument("--runs", type=int, default=100, help="kills of each round")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    llm, model, chance = os.path.abspath(arguments.llm), arguments.model, random.Random(arguments.seed)

    with tempfile.TemporaryDirectory(prefix="quantize-kill-") as folder:
        folder = pathlib.Path(folder)
        hashes, seconds = {}, 0.0
        for scheme in ["int4", "int8"]:
            begin = time.monotonic()
            run(quantize(llm, model, folder / scheme, scheme))
            seconds = max(seconds, time.monotonic() - begin)
            hashes[scheme] = weights(folder / scheme)

        out = folder / "out"
        for name, force in [("into a new name", False), ("over a model", True)]:
            counts = {}
            for attempt in range(arguments.runs):
                scheme = "int8" if not force or attempt % 2 == 0 else "int4"
                old = {hashes["int4"]: "int4", hashes["int8"]: "int8"} if force else {None: "nothing", hashes["int8"]: "int8"}
                if force and not out.exists():
                    run(quantize(llm, model, out, "int4"))
                before = weights(out) if force else None
                was_killed = killed(quantize(llm, model, out, scheme, *(["--force"] if force else [])), chance.uniform(0.2, 1.2) * seconds)
                found = check(llm, out, old, f"{name}, run {attempt}")
                outcome = "ended before the kill" if not was_killed else "killed: the old one" if force and weights(out) == before else f"killed: {found}"
                counts[outcome] = counts.get(outcome, 0) + 1
                if not force and out.exists():
                    for path in out.iterdir():
                        path.unlink()
                    out.rmdir()
            left = sorted(path.name for path in folder.iterdir() if path.name.startswith(".out."))
            run(quantize(llm, model, out, "int8", "--force"))
            after = sorted(path.name for path in folder.iterdir() if path.name.startswith(".out."))
            if after:
                sys.exit(f"{name}: {after} are still there after a run that ended by itself")
            print(f"{name}: {arguments.runs} runs, " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())), end="")
            print(f"; {len(left)} leftovers before the last run, none after it")
            if not force:
                for path in out.iterdir():
                    path.unlink()
                out.rmdir()


if __name__ == "__main__":
    main()
