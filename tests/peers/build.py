"""Fetches and builds the peers in a cache folder, each once for each version."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

# The source distribution of this package vendors the llama.cpp that is measured.
LLAMA_CPP_PYTHON = "0.3.36"
REQUIREMENTS = ["cmake==4.4.4", "ninja==1.13.2", "numpy==2.4.6", "gguf==0.19.0"]
LLAMA_TOOLS = ["llama-bench", "llama-batched-bench", "llama-quantize"]
CMAKE_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "ON",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
}
CANDLE = Path(__file__).resolve().parent / "candle"


def run(cache, command, **options):
    """Runs one step of the preparation; what it prints goes to a log in the cache folder."""
    command = [str(part) for part in command]
    print("+", " ".join(command), file=sys.stderr, flush=True)
    log = cache / "log.txt"
    cache.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        result = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, **options)
    if result.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{last}\nerror: {command[0]}: got exit status {result.returncode}, expected 0\n\nhint: all output is in {log}")


def python(cache):
    """The Python of a virtual environment with cmake, ninja, numpy and gguf."""
    folder = cache / "venv"
    interpreter, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        run(cache, [sys.executable, "-m", "venv", folder])
        run(cache, [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS])
        stamp.write_text(wanted)
    return interpreter


def llama_source(cache):
    """The folder of llama.cpp in the unpacked source distribution."""
    name = f"llama_cpp_python-{LLAMA_CPP_PYTHON}"
    unpacked = cache / "source" / name
    if not unpacked.exists():
        folder = cache / "source"
        # Only this package from source: `:all:` would build its build tools from source as well.
        run(cache, [python(cache), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--no-binary", "llama-cpp-python", "--dest", folder, f"llama-cpp-python=={LLAMA_CPP_PYTHON}"])
        partial = folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            archive.extractall(partial, filter="data")
        (partial / name).rename(unpacked)
        partial.rmdir()
    return unpacked / "vendor" / "llama.cpp"


def llama(cache, jobs):
    """The folder with llama.cpp's programs, built for this machine's CPU."""
    build = cache / f"llama.cpp-{LLAMA_CPP_PYTHON}"
    programs = build / "bin"
    if not all((programs / tool).exists() for tool in LLAMA_TOOLS):
        environment = dict(os.environ, PATH=f"{python(cache).parent}{os.pathsep}{os.environ['PATH']}")
        options = [f"-D{name}={value}" for name, value in CMAKE_OPTIONS.items()]
        source = llama_source(cache)
        run(cache, ["cmake", "-S", source, "-B", build, "-G", "Ninja", *options], env=environment)
        run(cache, ["cmake", "--build", build, "--parallel", jobs, "--target", *LLAMA_TOOLS], env=environment)
    return programs


def llama_version(cache):
    """The version of the package, and the commit of llama.cpp in it as its build found it."""
    found = (cache / f"llama.cpp-{LLAMA_CPP_PYTHON}" / "llama-config.cmake").read_text()
    commit = re.search(r"LLAMA_BUILD_COMMIT (\w+)", found)
    return f"llama.cpp {commit[1] if commit else 'of unknown commit'} from llama-cpp-python {LLAMA_CPP_PYTHON}"


def candle(cache, jobs):
    """The program that measures candle, built for this machine's CPU; cargo knows whether it is up to date."""
    target = cache / "candle"
    environment = dict(os.environ, CARGO_TARGET_DIR=str(target), RUSTFLAGS="-C target-cpu=native")
    manifest = CANDLE / "Cargo.toml"
    run(cache, ["cargo", "build", "--release", "--locked", "--quiet", "--jobs", jobs, "--manifest-path", manifest], env=environment)
    return target / "release" / "candle-bench"


def candle_version():
    """The version of candle-core in the lock file."""
    lines = (CANDLE / "Cargo.lock").read_text().splitlines()
    return lines[lines.index('name = "candle-core"') + 1].split('"')[1]
