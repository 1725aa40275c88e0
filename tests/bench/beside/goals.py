"""What Ringway is to reach beside its peers, and whether a run shows it."""

# What, the bound, whether the figure is to be at least or at most that, and how it is made: see `values`.
GOALS = [
    ("TCP 1 stream ÷ un-tunnelled, plain", ">=", 0.42), ("TCP 1 stream ÷ un-tunnelled, wire", ">=", 0.50),
    ("gateway CPU s/GB ÷ the quinn-datagram VPN's, wire", "<=", 0.2),
    ("TCP 1 stream ÷ best packaged user-space tunnel, wire", ">=", 3.5),
    ("TCP 1 stream ÷ haproxy TLS relay, plain", ">=", 1.15), ("TCP 1 stream ÷ haproxy TLS relay, wire", ">=", 1.3),
    ("64-byte UDP with ≤ 1 % loss, kpps, wire", ">=", 200), ("idle ping p50 added by both gateways, ms", "<=", 0.060),
    ("ping p99 under load, ms, wire", "<=", 2), ("memory of a gateway under load, MiB", "<=", 24),
]
PACKAGED = ["nebula", "wireguard-go", "quincy", "boringtun", "openvpn", "tinc", "vpncloud"]


def reached(measured):
    values = dict(zip((what for what, *_ in GOALS), values_of(measured)))
    rows = []
    for what, sense, bound in GOALS:
        value = values[what]
        met = value is not None and (value >= bound if sense == ">=" else value <= bound)
        verdict = "not measured" if value is None else "reached" if met else "missed"
        rows.append({"what": what, "reach": f"{'≥' if sense == '>=' else '≤'} {bound}", "measured": value,
                     "verdict": verdict})
    return rows


def values_of(measured):
    """In the order of GOALS; None where a figure is missing."""
    def median(name, mode, figure):
        return measured.get(name, {}).get(mode, {}).get(figure, {}).get("median")

    def over(value, other):
        return value / other if value is not None and other else None

    own = lambda mode, figure: median("ringway", mode, figure)
    tcp = lambda name, mode: over(own(mode, "tcp1"), median(name, mode, "tcp1"))
    best = max((median(name, "wire", "tcp1") or 0 for name in PACKAGED), default=0)
    idle, base = own("wire", "idle_p50"), median("routing", "wire", "idle_p50")
    return [
        tcp("routing", "plain"), tcp("routing", "wire"), over(own("wire", "cpu"), median("quincy", "wire", "cpu")),
        over(own("wire", "tcp1"), best), tcp("haproxy", "plain"), tcp("haproxy", "wire"), own("wire", "udp"),
        idle - base if idle is not None and base is not None else None, own("wire", "load_p99"), own("wire", "memory"),
    ]
