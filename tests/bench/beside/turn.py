"""One turn: a candidate in a laboratory of its own, measured once, in one WAN mode."""

from . import daemons
from .laboratory import Failed, Lab, until
from .traffic import Traffic

# Every figure: its unit, and whether it is taken in plain mode too.
FIGURES = {
    "tcp1": ("Gbit/s", True),
    "tcp1_back": ("Gbit/s", False),
    "tcp4": ("Gbit/s", True),
    "tcp4_back": ("Gbit/s", False),
    "tcp1_cubic": ("Gbit/s", False),
    "tcp1_v6": ("Gbit/s", False),
    "cpu": ("s/GB", True),
    "udp": ("kpps", False),
    "idle_p50": ("ms", True),
    "idle_p99": ("ms", True),
    "load_p50": ("ms", True),
    "load_p99": ("ms", True),
    "memory": ("MiB", True),
}


def take(peer, dir, wire, pace):
    """The figures of the turn by name, and by name what failed."""
    with Lab(dir, wire) as lab:
        gateways = peer.up(lab)
        traffic = Traffic(lab, *peer.target)
        if "ping" in peer.carries:
            until(
                "ping through the tunnel",
                15,
                lambda: lab.run("node-a", "ping", "-c1", "-W0.5", traffic.target),
            )
        else:
            until("connection through the relay", 10, lambda: traffic.tcp(1) > 0)
        return measure(peer, gateways, traffic, wire, pace)


def measure(peer, gateways, traffic, wire, pace):
    figures, failed = {}, {}

    def note(names, value):
        wanted = [name for name in names if wire or FIGURES[name][1]]
        if not wanted:
            return
        try:
            values = value()
            figures.update(zip(names, values if isinstance(values, tuple) else (values,)))
        except Failed as why:
            failed.update({name: str(why) for name in wanted})

    def tcp_with_cpu():
        before = daemons.cpu(gateways)
        speed = traffic.tcp(pace.tcp)
        return speed, (daemons.cpu(gateways) - before) / (speed / 8 * pace.tcp)

    tcp = lambda **how: lambda: traffic.tcp(pace.tcp, **how)
    if "ping" in peer.carries:
        note(["idle_p50", "idle_p99"], lambda: traffic.ping(pace.idle))
    note(["tcp1", "cpu"], tcp_with_cpu)
    note(["tcp1_back"], tcp(back=True))
    note(["tcp4"], tcp(streams=4))
    note(["tcp4_back"], tcp(streams=4, back=True))
    note(["tcp1_cubic"], tcp(algorithm="cubic"))
    if "v6" in peer.carries:
        note(["tcp1_v6"], tcp(v6=True))
    if "ping" in peer.carries:
        note(["load_p50", "load_p99"], lambda: traffic.ping_under_load(pace.tcp))
    if "udp" in peer.carries:
        note(["udp"], lambda: traffic.ladder(pace.steps))
    note(["memory"], lambda: daemons.memory(gateways))
    if not gateways:
        figures = {name: value for name, value in figures.items() if name not in ("cpu", "memory")}
    return figures, failed
