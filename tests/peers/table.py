"""From readings to medians, a table and JSON."""

from statistics import median

MISSING = "–"
# Where the rounds of one case are further apart than this share of their median, the median says little.
NOISY = 0.2


def spread(speeds):
    return {"median": median(speeds), "min": min(speeds), "max": max(speeds), "rounds": len(speeds)}


def middle(readings, field):
    known = [getattr(reading, field) for reading in readings if getattr(reading, field) is not None]
    return median(known) if known else None


def ratio(ours, peers):
    """The median over the rounds, as a machine that others share is faster and slower by the minute; where one failed, that of medians."""
    if len(ours) != len(peers):
        return median(ours) / median(peers)
    return median(ours / peer for ours, peer in zip(ours, peers))


def row(model, case, readings, failures, gguf_bits):
    """One line: `readings` are lists by engine, empty where an engine has no such case or failed."""
    speeds = {name: [reading.tokens_per_second for reading in found] for name, found in readings.items() if found}
    peers = {name: median(found) for name, found in speeds.items() if name != "ours"}
    best = max(peers, key=peers.get, default=None)
    ours = readings.get("ours", [])
    return {
        "shape": model.shape,
        "format": model.format,
        "test": case.test,
        "title": case.title(),
        "tokens": case.tokens,
        "depth": case.depth,
        "batch": case.batch,
        "tokens_per_second": {name: spread(found) for name, found in speeds.items()},
        "failures": failures,
        "best_peer": best,
        "ours_to_best_peer": ratio(speeds["ours"], speeds[best]) if best and "ours" in speeds else None,
        "share_of_limit": middle(ours, "share_of_limit"),
        "read_bytes_per_second": middle(ours, "read_bytes_per_second"),
        "bits_per_weight": {"ours": middle(ours, "bits_per_weight"), "gguf": gguf_bits},
    }


def speed(row, engine):
    if engine in row["tokens_per_second"]:
        found = row["tokens_per_second"][engine]
        middle, apart = found["median"], found["max"] - found["min"]
        mark = "~" if apart > NOISY * middle else ""
        return f"{mark}{middle:.1f}" if middle < 100 else f"{mark}{middle:.0f}"
    return "failed" if engine in row["failures"] else MISSING


def bits(row):
    known = row["bits_per_weight"]
    ours = MISSING if known["ours"] is None else f"{known['ours']:.1f}"
    return f"{ours} / {known['gguf']:.1f}"


def cells(row, engines):
    ratio, share = row["ours_to_best_peer"], row["share_of_limit"]
    return [
        row["shape"], row["format"], bits(row), row["title"],
        *[speed(row, engine) for engine in engines],
        MISSING if ratio is None else f"{ratio:.2f}",
        MISSING if share is None else f"{100 * share:.0f} %",
    ]


def markdown(rows, engines):
    """The table, in columns that a terminal shows as well; speeds are tokens per second."""
    heading = ["shape", "format", "bits ours / GGUF", "test", *engines, "ours / best peer", "share of limit"]
    lines = [heading, *[cells(row, engines) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    numbers = range(4, len(heading))

    def text(line):
        padded = [cell.rjust(width) if column in numbers else cell.ljust(width) for column, (cell, width) in enumerate(zip(line, widths))]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * (width - 1) + ":") if column in numbers else "-" * width for column, width in enumerate(widths)]
    return "\n".join([text(heading), text(rule), *[text(line) for line in lines[1:]]])
