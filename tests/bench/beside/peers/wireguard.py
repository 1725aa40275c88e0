"""What the WireGuard programs share: keys, and the configuration by wg(8). Sockets for that lie
where all namespaces see them, so that the devices have different names."""

from .. import install as programs
from ..laboratory import SIDES, WAN, other, run, until
from .peer import Peer, route

CONFIG = """[Interface]
PrivateKey = {private}
ListenPort = 51820
[Peer]
PublicKey = {public}
AllowedIPs = 10.77.0.0/16, fd77::/16
Endpoint = {endpoint}:51820
"""


class Wireguard(Peer):
    def prepare_keys(self, dir, install):
        self.wg = programs.debian("wg", "wireguard-tools", install)
        private = {side: run(self.wg, "genkey").strip() for side in SIDES}
        public = {side: run(self.wg, "pubkey", input=private[side]).strip() for side in SIDES}
        for side in SIDES:
            config = CONFIG.format(
                private=private[side], public=public[other(side)], endpoint=WAN[other(side)]
            )
            (dir / f"{side}.conf").write_text(config)
        self.dir = dir

    def up(self, lab):
        processes = []
        for side in SIDES:
            device, machine = f"rwb-{side}", f"gw-{side}"
            processes.append(lab.start(machine, *self.command, device))
            configure = lambda: (
                lab.run(machine, self.wg, "setconf", device, self.dir / f"{side}.conf") == ""
            )
            until(f"{device}", 5, configure)
            lab.ip(machine, f"link set {device} mtu 1420 up\n")
        route(lab, "rwb-")
        return processes
