"""What the measurements run on."""

import os
import platform
import resource
import time
from pathlib import Path

# Instructions that kernels for quantized weights choose by.
TELLING_FLAGS = ["avx2", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
                 "asimddp", "i8mm", "sve", "bf16"]

# Share of the processors that others may use before figures mean nothing.
QUIET = 0.05


def cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe():
    """Name, cores, telling instruction sets, and operating system."""
    name, flags = platform.processor() or platform.machine(), []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = {}
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        name = fields.get("model name", name)
        present = fields.get("flags", fields.get("Features", "")).split()
        flags = [flag for flag in TELLING_FLAGS if flag in present]
    return {"cpu": name, "cores": cores(), "flags": flags, "system": f"{platform.system()} {platform.machine()}"}


class Others:
    """How much of the processors others used meanwhile; their load slows engines unevenly, so that ratios are off, too."""

    def __init__(self):
        self.started, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def share(self):
        """Of all cores, from 0 to 1; time that a hypervisor took away counts. None where the system does not tell."""
        if self.busy is None:
            return None
        others = (busy_seconds() - self.busy) - (own_seconds() - self.own)
        return max(0.0, others / ((time.monotonic() - self.started) * (os.cpu_count() or 1)))


def busy_seconds():
    """Processor time that everything used since the start of the machine."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Processor time of this process and of those that it started and that ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
