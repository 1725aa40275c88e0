"""Peer: what an adapter has. Two gateways, gw-a and gw-b, with the nodes' networks behind them."""

from ..laboratory import LAN, LAN6, SIDES, other


class Peer:
    # Its name on the command line and in results, and its name in tables.
    name, label = "", ""
    # What it carries beside TCP.
    carries = {"ping", "udp", "v6"}
    # Where node-a finds node-b, if not at its own address: IPv4, IPv6.
    target = ()

    def prepare(self, dir, install):
        """Finds or installs programs, makes keys and files in `dir`; `Missing` if it cannot be had.
        Returns the version."""

    def up(self, lab):
        """Starts both gateways in `lab`; returns their processes."""
        return []


def route(lab, device):
    """Routes each node's network through the device of the other side; the devices are called
    `device` and the letter of their side."""
    for side in SIDES:
        there = other(side)
        lab.ip(
            f"gw-{side}",
            f"route add {LAN[there]} dev {device}{side}\n"
            f"route add {LAN6[there]} dev {device}{side}\n",
        )
