"""The plot: two rows of bars, TCP throughput and CPU per gigabyte, as SVG that reads on light and
dark pages."""

from .results import ranked

WIDTH, LEFT, BAR, GAP = 860, 190, 16, 8
PANELS = [
    ("tcp1", "one TCP stream, Gbit/s (more is better)"),
    ("cpu", "CPU of both gateways, s/GB (less is better)"),
]
OWN, OTHERS = "#d9822b", "#6b8ba4"


def svg(document):
    mode = "wire" if any("wire" in modes for modes in document["measured"].values()) else "plain"
    names = ranked(document)
    height = 50 + len(names) * (BAR + GAP) + 30
    room = (WIDTH - LEFT - 20) / len(PANELS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        "<style>text{fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#adbac7}}</style>",
    ]
    for row, name in enumerate(names):
        parts.append(text(LEFT - 8, y(row) + 12, name, "end", name == "ringway"))
    for column, (figure, heading) in enumerate(PANELS):
        found = {name: document["measured"][name].get(mode, {}).get(figure) for name in names}
        parts += panel(found, heading, LEFT + column * room, room - 70)
    parts.append(
        text(
            LEFT, height - 12,
            f"{mode} mode, medians with minimum and maximum, {document['made']}", "start",
        )
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel(found, heading, x, room):
    yield text(x, 24, heading, "start", True)
    most = max((figure["max"] for figure in found.values() if figure), default=1) or 1
    for row, (name, figure) in enumerate(found.items()):
        if not figure:
            yield text(x, y(row) + 12, "–", "start")
            continue
        median, least, largest = (figure[key] / most * room for key in ["median", "min", "max"])
        colour = OWN if name == "ringway" else OTHERS
        yield (
            f'<rect x="{x:.1f}" y="{y(row)}" width="{median:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        yield (
            f'<path d="M{x + least:.1f} {y(row) + BAR / 2}H{x + largest:.1f}" stroke="#888" '
            'stroke-width="2"/>'
        )
        number = f"{figure['median']:.3g}"
        yield text(x + largest + 5, y(row) + 12, number, "start", name == "ringway")


def y(row):
    return 40 + row * (BAR + GAP)


def text(x, y, words, anchor, bold=False):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{words}</text>'
