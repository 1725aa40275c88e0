"""vpncloud: a mesh VPN in Rust (AES-128-GCM). It wants a default route to find its own address by,
and cannot set its device's MTU in a namespace: this does, as it would."""

from .. import install as programs
from ..laboratory import LAN, LAN6, SIDES, WAN, other, until
from .peer import Peer, route


class Vpncloud(Peer):
    name, label = "vpncloud", "vpncloud (Rust)"

    def prepare(self, dir, install):
        self.program = programs.crate("vpncloud", install)
        return programs.version("vpncloud")

    def up(self, lab):
        processes = []
        for side, n in SIDES.items():
            machine, device = f"gw-{side}", f"rwb-{side}"
            lab.ip(machine, f"route add default via {lab.hop(side)}\n")
            processes.append(
                lab.start(
                    machine, self.program, "-d", device, "-t", "tun", "-m", "router", "--ip",
                    f"10.78.0.{n}/24", "-p", "only for measuring", "--algorithm", "aes128",
                    "--no-port-forwarding", "-l", "3210", "-c", f"{WAN[other(side)]}:3210",
                    "--claim", LAN[side], "--claim", LAN6[side],
                )
            )
            until(device, 5, lambda: "UP" in lab.run(machine, "ip", "-br", "link", "show", device))
            lab.ip(machine, f"link set {device} mtu 1400\n")
        route(lab, "rwb-")
        return processes
