#!/usr/bin/env python3
"""Prints the speed of `llm bench` beside llama.cpp and candle: same machine, same shapes, random weights, in turns.

    python tests/peers/compare.py --shape smollm2-135m --format q4_0

See README.md. Needs only the standard library of Python 3.11; what the peers need is fetched into a cache folder.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True  # no __pycache__ among the sources

import build  # noqa: E402
import cases  # noqa: E402
import machine  # noqa: E402
import models  # noqa: E402
import runners  # noqa: E402
import table  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# llama.cpp's own default, `auto`, is flash attention wherever it can be computed.
FLASH_ATTENTION = {"llama.cpp": "auto", "llama.cpp -fa off": "off"}
ENGINES = ["ours", "llama.cpp", "candle"]
TESTS = ["prefill", "decode", "batch"]


def names(known):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"got `{name}`, expected {', '.join(known)}")
        return chosen

    return parse


def counts(least):
    def parse(text):
        try:
            found = [int(part) for part in text.split(",")]
        except ValueError:
            found = []
        if not found or min(found) < least:
            raise argparse.ArgumentTypeError(f"got `{text}`, expected whole numbers from {least} on")
        return found

    return parse


def count(text):
    return counts(1)(text)[0]


def default_binary():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "llm"


def default_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-peers"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=names(models.SHAPES), default=models.SHAPES, metavar="NAME,..", help=", ".join(models.SHAPES))
    parser.add_argument("--format", type=names(models.FORMATS), default=["q4_0", "q8_0"], metavar="NAME,..",
                        help=f"{', '.join(models.FORMATS)} (default: q4_0,q8_0)")
    parser.add_argument("--tests", type=names(TESTS), default=TESTS, metavar="NAME,..", help=", ".join(TESTS))
    parser.add_argument("--prefill", type=counts(1), default=[512], metavar="N,..", help="prompt lengths (default: 512)")
    parser.add_argument("--decode", type=count, default=64, metavar="N", help="tokens to decode (default: 64)")
    parser.add_argument("--depth", type=counts(0), default=[0, 1024, 4096], metavar="N,..",
                        help="tokens in the cache before those that are decoded (default: 0,1024,4096)")
    parser.add_argument("--batch", type=counts(1), default=[1, 4, 8, 16], metavar="N,..",
                        help="sequences that are decoded at once (default: 1,4,8,16)")
    parser.add_argument("--engines", type=names(ENGINES), default=ENGINES, metavar="NAME,..", help=", ".join(ENGINES))
    parser.add_argument("--threads", type=count, default=machine.cores(), metavar="N", help="default: one for each core")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="times that every engine has its turn (default: 3)")
    parser.add_argument("--jobs", type=count, default=machine.cores(), metavar="N", help="parallel jobs while building")
    parser.add_argument("--binary", type=Path, default=default_binary(), metavar="FILE", help="our llm (default: in cargo's target folder)")
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER",
                        help="for builds and models, kept between runs (default: llm-peers in the user's cache folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON, too")
    parser.add_argument("--prepare", action="store_true", help="only build the peers and write the models")
    return parser.parse_args()


def engines(options, programs):
    """The engines that were asked for, and their versions."""
    found, versions = [], {}
    if "ours" in options.engines:
        found.append(runners.Ours(options.binary.resolve(), options.threads))
        versions["ours"] = runners.output([options.binary.resolve(), "--version"]).strip()
    if "llama.cpp" in options.engines:
        found += [runners.LlamaCpp(name, programs, options.threads, setting) for name, setting in FLASH_ATTENTION.items()]
        versions["llama.cpp"] = build.llama_version(options.cache)
    if "candle" in options.engines:
        found.append(runners.Candle(build.candle(options.cache, options.jobs), options.threads))
        versions["candle"] = f"candle-core {build.candle_version()}"
    return found, versions


def measure(engines, model, group, rounds):
    """Readings and failures of each case, by engine; the engines take turns, and one that failed has no further turn."""
    readings = {case: {engine.name: [] for engine in engines} for case in group}
    failures = {case: {} for case in group}
    for round in range(1, rounds + 1):
        for engine in engines:
            covered = [case for case in group if engine.covers(model, case) and engine.name not in failures[case]]
            if not covered:
                continue
            titles = ", ".join(case.title() for case in covered)
            print(f"round {round}: {model.shape} {model.format}: {engine.name}: {titles}", file=sys.stderr, flush=True)
            try:
                for case, reading in engine.measure(model, covered).items():
                    readings[case][engine.name].append(reading)
            except runners.Failure as failure:
                print(f"error: {failure}", file=sys.stderr)
                for case in covered:
                    failures[case][engine.name] = str(failure)
    return readings, failures


def rows(engines, options, files):
    """The rows of the table, each as soon as it is measured."""
    for shape, paths in files.items():
        for format, path in paths.items():
            model = runners.Model(shape, format, path)
            bits = models.bits_per_weight(shape, path)
            for group in cases.groups(options, models.config(shape)["max_position_embeddings"]):
                readings, failures = measure(engines, model, group, options.rounds)
                for case in group:
                    yield table.row(model, case, readings[case], failures[case], bits)


def heading(here, versions, options, measured):
    lines = [
        f"{here['cpu']}, {here['cores']} cores, {here['system']}: {' '.join(here['flags'])}",
        "; ".join(versions.values()),
        f"tokens per second, medians; threads: {options.threads}, rounds: {options.rounds}",
    ]
    bandwidths = [row["read_bytes_per_second"] for row in measured if row["read_bytes_per_second"]]
    if bandwidths:
        lines.append(f"memory read at {median(bandwidths) / 1e9:.1f} GB/s")
    others = here["used_by_others"]
    if others is not None:
        verdict = "" if others < machine.QUIET else ": too busy a machine, speeds and ratios are off"
        lines.append(f"others used {100 * others:.0f} % of the processors{verdict}")
    return "\n".join(lines)


def main():
    options = arguments()
    options.cache = options.cache.resolve()
    options.cache.mkdir(parents=True, exist_ok=True)
    if "ours" in options.engines and not options.prepare and not options.binary.is_file():
        sys.exit(f"error: {options.binary}: got no file, expected our program\n\nhint: cargo build --release, or --binary FILE")
    here = machine.describe()
    programs = build.llama(options.cache, options.jobs)
    files = {shape: models.ensure(shape, options.format, options.cache, programs) for shape in options.shape}
    if options.prepare:
        build.candle(options.cache, options.jobs)
        return
    try:
        chosen, versions = engines(options, programs)
    except runners.Failure as failure:
        sys.exit(f"error: {failure}")
    measured, others = [], machine.Others()
    try:
        for row in rows(chosen, options, files):
            measured.append(row)
    except KeyboardInterrupt:
        print("interrupted: the table holds what was measured until now", file=sys.stderr)
    here["used_by_others"] = others.share()
    print(heading(here, versions, options, measured), end="\n\n")
    print(table.markdown(measured, [engine.name for engine in chosen]))
    print(f"\n~ before a speed: its rounds differ by more than {100 * table.NOISY:.0f} % of it")
    if options.json:
        report = {"machine": here, "versions": versions, "threads": options.threads, "rounds": options.rounds, "rows": measured}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if any(row["failures"] for row in measured):
        sys.exit(1)


if __name__ == "__main__":
    main()
