"""The figures as a document: JSON, and Markdown for people."""

import os, pathlib, platform, statistics

from .load import RATE

KINDS = ["hit", "NXDOMAIN", "mixed", "TCP"]


def document(options, rounds, large, changes, load):
    median = lambda values: {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }
    measured = {
        name: {
            kind: {figure: median([r[figure] for r in results]) for figure in results[0]}
            for kind, results in kinds.items()
        }
        for name, kinds in rounds.items()
    }
    made = {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": [round(l, 2) for l in load],
        "records": options.records,
        "rounds": options.rounds,
        "seconds": options.seconds,
    }
    return {"machine": made, "servers": measured, "large": large, "visible": visible(changes)}


def visible(changes):
    """Milliseconds until the last of the gateways, and until the owner itself."""
    if not changes:
        return None
    every, owner = sorted(max(c.values()) for c in changes), sorted(c["gw.org1"] for c in changes)
    at = lambda values, share: round(values[min(len(values) - 1, int(share * len(values)))], 1)
    return {
        "changes": len(every),
        "all_p50_ms": at(every, 0.5),
        "all_p99_ms": at(every, 0.99),
        "all_max_ms": round(every[-1], 1),
        "owner_p50_ms": at(owner, 0.5),
        "owner_p99_ms": at(owner, 0.99),
    }


def markdown(document):
    made, servers = document["machine"], document["servers"]
    lines = [
        f"{made['records']:,} records, median of {made['rounds']} rounds of {made['seconds']} s, "
        f"interleaved; {made['cores']} cores, Linux {made['kernel'].split('-')[0]}, "
        f"load {made['load'][0]} before and {made['load'][1]} after.",
        "",
    ]
    lines += [
        "| server |" + "".join(f" {kind} q/s | CPU µs |" for kind in KINDS),
        "|---|" + "--:|--:|" * len(KINDS),
    ]
    for name, kinds in servers.items():
        cell = lambda kind: (
            f" {kinds[kind]['qps']['median']:,.0f} | {kinds[kind]['cpu_us']['median']:.2f} |"
        )
        lines.append(f"| {name} |" + "".join(map(cell, KINDS)))
    lines += [
        "",
        f"| server | at {RATE:,} q/s: p50 µs | p99 µs | CPU µs | MiB, {made['records']:,} records |"
        + (
            f" MiB, {document['large']['records']:,} records | seconds to load those |"
            if document["large"]
            else ""
        ),
        "|---|--:|--:|--:|--:|" + ("--:|--:|" if document["large"] else ""),
    ]
    for name, kinds in servers.items():
        latency, memory = kinds["latency"], kinds["memory"]
        row = (
            f"| {name} | {latency['p50_us']['median']:.0f} | {latency['p99_us']['median']:.0f} | "
            f"{latency['cpu_us']['median']:.1f} | {memory['mib']['median']:.1f} |"
        )
        if document["large"] and name in document["large"]["servers"]:
            large = document["large"]["servers"][name]
            row += f" {large['mib']:.0f} | {large['took']:.1f} |"
        lines.append(row)
    if seen := document["visible"]:
        lines += [
            "",
            f"From a change to its being visible on all three gateways, {seen['changes']} changes: "
            f"p50 {seen['all_p50_ms']} ms, p99 {seen['all_p99_ms']} ms, at most "
            f"{seen['all_max_ms']} ms; on the owner alone p50 {seen['owner_p50_ms']} ms, "
            f"p99 {seen['owner_p99_ms']} ms.",
        ]
    return "\n".join(lines) + "\n"
