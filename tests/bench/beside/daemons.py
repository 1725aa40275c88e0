"""What the gateways' processes use: CPU and memory, from /proc."""

import os, pathlib, re


def cpu(processes):
    """Seconds, user and system, of all threads."""
    ticks = 0
    for process in processes:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(processes):
    """The peak of the larger of the two gateways, in MiB."""
    peak = lambda pid: re.search(
        r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M
    )
    return max((int(peak(process.pid)[1]) / 1024 for process in processes), default=0.0)
