#!/usr/bin/env bash
# Builds `llm` with CUDA where cubecl's build cannot download LLVM, and prints the path of the binary.
#
# Kernels are compiled by NVRTC at run time (feature `cubecl/cuda-cpp`), so no function of LLVM is ever called: with DOCS_RS set the
# download is left out, and stubs stand in for the symbols that the binary then lacks. Elsewhere
# `cargo build --release --features cuda` does it.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/llm-target}" DOCS_RS=1
binary="$CARGO_TARGET_DIR/release/llm"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

build() {
  cargo rustc --release --locked -p llm-cli --bin llm --features cuda -- -C link-arg=-Wl,--unresolved-symbols=ignore-all "$@" >&2
}

build
{
  echo '#include <stdlib.h>'
  nm "$binary" | awk '$1 == "U" { print $2 }' | grep -E '^(LLVM|cubecl_)' | sort -u | sed 's/.*/void &(void) { abort(); }/'
} > "$scratch/stubs.c"
cc -O1 -c "$scratch/stubs.c" -o "$scratch/stubs.o"
build -C link-arg="$scratch/stubs.o"
echo "$binary"
