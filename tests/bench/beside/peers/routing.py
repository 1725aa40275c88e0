"""No tunnel: the kernel routes between the same namespaces. What all others are compared with."""

from ..laboratory import LAN, LAN6, SIDES, WAN6, other
from .peer import Peer


class Routing(Peer):
    name, label = "routing", "un-tunnelled kernel routing"

    def prepare(self, dir, install):
        return ""

    def up(self, lab):
        for side in SIDES:
            there = other(side)
            lab.ip(
                f"gw-{side}",
                f"route add {LAN[there]} via {lab.hop(side)}\n"
                f"route add {LAN6[there]} via {lab.hop(side, WAN6)}\n",
            )
        return []
