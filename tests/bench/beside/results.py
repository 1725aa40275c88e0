"""Outcome: the figures of all turns; the document made of them, as JSON and as Markdown.

A figure of the document is {"median", "min", "max", "n"}; documents[peer][mode][figure].
"""

import datetime, json, os, pathlib, platform, statistics

from . import goals, peers

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHOWN = ROOT / "tests" / "bench" / "results"
MARKS = "<!-- tests/bench/run --into writes from here -->", "<!-- to here -->"


class Outcome:
    def __init__(self, pace, versions, missing):
        self.pace, self.versions, self.missing = pace, versions, missing
        self.figures, self.failed, self.load = {}, [], [os.getloadavg()[0]]

    def add(self, name, mode, figures, failed):
        for figure, value in figures.items():
            self.figures.setdefault((name, mode, figure), []).append(value)
        self.failed += [
            {"peer": name, "mode": mode, "what": what, "why": why} for what, why in failed.items()
        ]
        self.load.append(os.getloadavg()[0])

    def document(self):
        measured = {}
        for (name, mode, figure), values in self.figures.items():
            summary = {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
                "n": len(values),
            }
            measured.setdefault(name, {}).setdefault(mode, {})[figure] = summary
        document = {
            "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": {
                "cores": os.cpu_count(),
                "cpu": cpu_model(),
                "kernel": platform.release(),
                "load": [round(self.load[0], 2), round(max(self.load), 2)],
            },
            "pace": vars(self.pace),
            "versions": self.versions,
            "missing": self.missing,
            "failed": self.failed,
            "measured": measured,
        }
        return {**document, "goals": goals.reached(measured)}


def cpu_model():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


# ── Markdown


def markdown(document):
    return "\n".join(
        [
            head(document), *table(document, MAIN), *table(document, TCP), *goals_table(document),
            *notes(document),
        ]
    )


def head(document):
    machine, pace = document["machine"], document["pace"]
    return (
        f"{document['made']}, {machine['cpu']}, {machine['cores']} cores that carry everything "
        f"(gateways, ends, kernel {machine['kernel']}); load average {machine['load'][0]} when it "
        f"began, with the measurement itself at most {machine['load'][1]}.\n"
        f"Median of {pace['rounds']} interleaved rounds, minimum and maximum in brackets; TCP for "
        f"{pace['tcp']} s, BBR unless said otherwise.\n{caution(document)}"
    )


def caution(document):
    machine = document["machine"]
    if machine["load"][0] <= machine["cores"] / 2:
        return ""
    return (
        "**The machine was busy with other work: provisional, only ratios mean anything, and "
        "roughly.**\n"
    )


def cell(document, name, mode, figure, digits):
    found = document["measured"].get(name, {}).get(mode, {}).get(figure)
    if not found:
        return "–"
    number = lambda key: f"{found[key]:.{digits}f}"
    return number("median") + (f" ({number('min')}–{number('max')})" if found["n"] > 1 else "")


def ratio(document, name, mode):
    tcp = lambda who: document["measured"].get(who, {}).get(mode, {}).get("tcp1", {}).get("median")
    return f"{tcp(name) / tcp('routing'):.2f}" if tcp(name) and tcp("routing") else "–"


# Heading, mode, figure, digits.
MAIN = [
    ("TCP 1 stream, wire, Gbit/s", "wire", "tcp1", 2), ("÷ un-tunnelled", "wire", "ratio", 2),
    ("TCP 1 stream, plain", "plain", "tcp1", 2), ("÷ un-tunnelled", "plain", "ratio", 2),
    ("gateway CPU s/GB, wire", "wire", "cpu", 2), ("plain", "plain", "cpu", 2),
    ("64-byte UDP ≤ 1 % loss, kpps", "wire", "udp", 0),
    ("idle ping p50, ms", "wire", "idle_p50", 3), ("p99", "wire", "idle_p99", 3),
    ("ping under load p50, ms", "wire", "load_p50", 2), ("p99", "wire", "load_p99", 2),
    ("memory peak, MiB", "wire", "memory", 1),
]
TCP = [
    ("TCP, wire, Gbit/s: 1 stream there", "wire", "tcp1", 2), ("back", "wire", "tcp1_back", 2),
    ("4 streams there", "wire", "tcp4", 2), ("back", "wire", "tcp4_back", 2),
    ("CUBIC", "wire", "tcp1_cubic", 2), ("IPv6", "wire", "tcp1_v6", 2),
    ("4 streams, plain", "plain", "tcp4", 2),
]


def ranked(document):
    """By the speed of one TCP stream in the mode that counts, un-tunnelled routing first."""
    mode = "wire" if any("wire" in modes for modes in document["measured"].values()) else "plain"
    speed = lambda name: document["measured"][name].get(mode, {}).get("tcp1", {}).get("median", 0)
    return sorted(document["measured"], key=lambda name: (name != "routing", -speed(name)))


def table(document, columns):
    yield "| tunnel | " + " | ".join(heading for heading, *_ in columns) + " |"
    yield "|---|" + "--:|" * len(columns)
    for name in ranked(document):
        cells = [
            ratio(document, name, mode)
            if figure == "ratio"
            else cell(document, name, mode, figure, digits)
            for _, mode, figure, digits in columns
        ]
        yield f"| {title(document, name)} | " + " | ".join(cells) + " |"
    yield ""


def title(document, name):
    version = document["versions"].get(name) or ""
    return f"{peers.ALL[name].label} {version}".strip()


def goals_table(document):
    yield "| Ringway's goals | to reach | measured | |"
    yield "|---|--:|--:|---|"
    for goal in document["goals"]:
        measured = "–" if goal["measured"] is None else f"{goal['measured']:.3g}"
        yield f"| {goal['what']} | {goal['reach']} | {measured} | {goal['verdict']} |"
    yield ""


def notes(document):
    for name, why in document["missing"].items():
        yield f"* Left out: {peers.ALL[name].label}: {why}."
    for failure in document["failed"]:
        where = f"{failure['peer']}, {failure['mode']}, {failure['what']}"
        yield f"* Failed once: {where}: {failure['why']}."
    if "quincy" in document["measured"]:
        yield "* quincy carries its client's own address only: the node behind it is masqueraded."


# ── Files


def write(document, dir):
    """The files; and the summary into README.md, if these are the results that it shows."""
    (dir / "peers.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (dir / "peers.md").write_text(markdown(document) + "\n")
    if dir.resolve() == SHOWN:
        readme = ROOT / "README.md"
        before, rest = readme.read_text().split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        summary = "\n".join([caution(document), *table(document, SUMMARY)])
        readme.write_text(f"{before}{MARKS[0]}\n{summary}{MARKS[1]}{after}")


SUMMARY = [MAIN[0], MAIN[1], MAIN[4], MAIN[6], ("ping p99 under load, ms", *MAIN[10][1:]), MAIN[11]]
