"""Kills a command of `llm` that writes a model with SIGKILL at random moments, and looks at what is left.

Two rounds: into a new name, where afterwards there must be nothing or a complete model; and with `--force` over a model that is there,
where there must be the old one or the new one, complete. Complete is what `llm inspect --check` passes, with the weights of a run that
was not disturbed. Leftovers of killed processes must be gone after the next run that ends by itself.
"""

import argparse
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time


def arguments(description, runs):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llm", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=runs, help="kills of each round")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def run(command):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def weights(path):
    """The hash of a weight file, or of the one in a folder."""
    file = path / "model.safetensors" if path.is_dir() else path
    return hashlib.sha256(file.read_bytes()).hexdigest()


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def rounds(llm, command, kinds, name, runs, seed):
    """Both rounds of `command(kind, out)` with the target `name`; `kinds` are two of which the models differ."""
    chance = random.Random(seed)
    old, new = kinds
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        folder = pathlib.Path(folder)
        hashes, seconds = {}, 0.0
        for kind in kinds:
            path = folder / f"{kind}-{name}"
            begin = time.monotonic()
            run(command(kind, path))
            seconds = max(seconds, time.monotonic() - begin)
            hashes[kind] = weights(path)

        out = folder / name
        for title, force in [("into a new name", []), ("over a model", ["--force"])]:
            counts = {}
            for attempt in range(runs):
                kind = new if not force or attempt % 2 == 0 else old
                allowed = {hashes[old]: old, hashes[new]: new} if force else {None: "nothing", hashes[new]: new}
                if force and not out.exists():
                    run(command(old, out))
                before = weights(out) if force else None
                was_killed = killed(command(kind, out) + force, chance.uniform(0.2, 1.2) * seconds)
                found = check(llm, out, allowed, f"{title}, run {attempt}")
                still = force and weights(out) == before
                outcome = "ended before the kill" if not was_killed else "killed: the old one" if still else f"killed: {found}"
                counts[outcome] = counts.get(outcome, 0) + 1
                if not force:
                    remove(out)
            left = [path for path in folder.iterdir() if path.name.startswith(f".{name}.")]
            run(command(new, out) + ["--force"])
            after = sorted(path.name for path in folder.iterdir() if path.name.startswith(f".{name}."))
            if after:
                sys.exit(f"{title}: {after} are still there after a run that ended by itself")
            print(f"{name} {title}: {runs} runs, " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())), end="")
            print(f"; {len(left)} leftovers before the last run, none after it", flush=True)
            if not force:
                remove(out)
