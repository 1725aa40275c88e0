"""What Ringway is to reach beside its peers, and whether a run shows it."""

PACKAGED = ["nebula", "wireguard-go", "quincy", "boringtun", "openvpn", "tinc", "vpncloud"]


def reached(measured):
    """A row per goal; "measured" is None where a figure is missing."""

    def of(name, mode, figure):
        return measured.get(name, {}).get(mode, {}).get(figure, {}).get("median")

    rows = []
    for what, sense, bound, value_of in GOALS:
        value = value_of(of)
        met = value is not None and (value >= bound if sense == "≥" else value <= bound)
        verdict = "not measured" if value is None else "reached" if met else "missed"
        rows.append(
            {"what": what, "reach": f"{sense} {bound}", "measured": value, "verdict": verdict}
        )
    return rows


def over(value, other):
    return value / other if value is not None and other else None


def tcp_over(name, mode):
    return lambda of: over(of("ringway", mode, "tcp1"), of(name, mode, "tcp1"))


def tcp_over_best(of):
    speeds = [of(name, "wire", "tcp1") for name in PACKAGED]
    return over(
        of("ringway", "wire", "tcp1"), max((speed for speed in speeds if speed), default=None)
    )


def idle_added(of):
    own, bare = of("ringway", "wire", "idle_p50"), of("routing", "wire", "idle_p50")
    return own - bare if own is not None and bare is not None else None


def own(figure):
    return lambda of: of("ringway", "wire", figure)


# What, whether it is to be at least or at most the bound, the bound, and the value of the medians.
GOALS = [
    ("TCP 1 stream ÷ un-tunnelled, plain", "≥", 0.42, tcp_over("routing", "plain")),
    ("TCP 1 stream ÷ un-tunnelled, wire", "≥", 0.50, tcp_over("routing", "wire")),
    (
        "gateway CPU s/GB ÷ the quinn-datagram VPN's, wire", "≤", 0.2,
        lambda of: over(of("ringway", "wire", "cpu"), of("quincy", "wire", "cpu")),
    ),
    ("TCP 1 stream ÷ best packaged user-space tunnel, wire", "≥", 3.5, tcp_over_best),
    ("TCP 1 stream ÷ haproxy TLS relay, plain", "≥", 1.15, tcp_over("haproxy", "plain")),
    ("TCP 1 stream ÷ haproxy TLS relay, wire", "≥", 1.3, tcp_over("haproxy", "wire")),
    ("64-byte UDP with ≤ 1 % loss, kpps, wire", "≥", 200, own("udp")),
    ("idle ping p50 added by both gateways, ms", "≤", 0.060, idle_added),
    ("ping p99 under load, ms, wire", "≤", 2, own("load_p99")),
    ("memory of a gateway under load, MiB", "≤", 24, own("memory")),
]
