"""What is measured: one case is one line of the table, one group is what a single process measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`tokens` of prompt, or tokens decoded by each of `batch` sequences behind `depth` others."""

    test: str
    tokens: int
    depth: int = 0
    batch: int = 1

    def title(self):
        if self.test == "prefill":
            return f"prefill {self.tokens}"
        if self.test == "batch":
            return f"decode {self.tokens} × {self.batch} at once"
        return f"decode {self.tokens} at depth {self.depth}"


def groups(options, context):
    """The groups of cases that fit into `context`, in the order in which they are measured."""
    found = []
    if "prefill" in options.tests:
        found.append([Case("prefill", tokens) for tokens in options.prefill])
    if "decode" in options.tests:
        found.extend([Case("decode", options.decode, depth=depth)] for depth in options.depth)
    if "batch" in options.tests:
        found.append([Case("batch", options.decode, batch=batch) for batch in options.batch])
    fitting = [[case for case in group if case.tokens + case.depth <= context] for group in found]
    return [group for group in fitting if group]
