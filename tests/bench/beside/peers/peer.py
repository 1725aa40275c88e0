"""Peer: what an adapter has. Two gateways, gw-a and gw-b, with the nodes' networks behind them."""
from ..laboratory import LAN, LAN6, SIDES, other


class Peer:
    # Its name on the command line and in results, and what it is.
    name, label = "", ""
    # What it can carry beside TCP.
    carries = {"ping", "udp", "v6"}
    # Where node-a finds node-b, if not at its own address: IPv4, IPv6.
    target = ()

    def prepare(self, dir, install):
        """Finds or installs programs, makes keys and files in `dir`; `Missing` if it cannot be had. Returns the
        version."""

    def up(self, lab):
        """Starts both gateways in `lab`; returns their processes."""
        return []


def route(lab, device):
    """Leads each node's network to the other side through `device`, with side "a" and "b" in its name."""
    for side in SIDES:
        there = other(side)
        lab.ip(f"gw-{side}", f"route add {LAN[there]} dev {device}{side}\nroute add {LAN6[there]} dev {device}{side}\n")
