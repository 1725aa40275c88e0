"""A node behind NAT, attached to two Ringway gateways of one site.

    node-n ── nat ── wan ──┬── gw-a1 ──┐
    10.77.3.9              ├── gw-a2 ──┴── lan
                           └── gw-b ── node-b
"""

import json, shutil

from beside.laboratory import Failed, run
from beside.siblings import PAIR, SiblingLab

from .ringway import Ringway

ADDRESS = "10.77.3.9"
TRANSLATE = """
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'table ip nat { chain leaves {
  type nat hook postrouting priority srcnat; oifname wan masquerade; }; }'
"""


class AttachedLab(SiblingLab):
    machines = [*SiblingLab.machines, "nat", "node-n"]

    def make(self):
        super().make()
        self.plug("nat", "wan", "192.0.2.50/24")
        self.cable("node-n", "lan", "nat", "inside")
        self.ip("nat", "addr add 192.168.7.1/24 dev inside\nlink set inside up\n")
        self.ip("node-n", "addr add 192.168.7.2/24 dev lan\nlink set lan up\n")
        self.ip("node-n", "route add default via 192.168.7.1\n")
        self.run("nat", "sh", "-ec", TRANSLATE)
        self.ip("node-b", "route add 10.77.3.0/24 via 10.77.2.1\n")


class Attached(Ringway):
    name = "attached"
    lab_class = AttachedLab
    near = "node-n"
    faults = ["kill", "link-down", "black-hole", "node-way"]

    def prepare(self):
        super().prepare()
        first, second, far = (self.home(gateway) for gateway in [*PAIR, "gw-b"])
        config, record = first / "gateway.toml", first / "org-a.member.toml"
        run(self.program, "site", "add", "idc=10.77.3.0/24", "--via", "lan", "-c", config)
        shutil.copy(record, second)
        fingerprint = "sha256:" + run("sha256sum", record).split()[0]
        theirs = far / "gateway.toml"
        run(
            self.program, "member", "add", record, "-c", theirs, "--fingerprint", fingerprint,
        )
        for home in [first, second]:
            run(
                self.program, "node", "add", "n", "--prefix", f"{ADDRESS}/32", "-c",
                home / "gateway.toml",
            )
        run(
            self.program, "attach", "init", "n", "--record", record, "--site", "lan",
            "--address", ADDRESS, "--ca", first / "ca", "--dir", self.home("node-n"),
        )

    def up(self):
        super().up()
        config = self.home("node-n") / "node.toml"
        self.lab.start("node-n", self.program, "attach", "run", "-c", config)

    def node(self):
        config = self.home("node-n") / "node.toml"
        return json.loads(self.lab.run("node-n", self.program, "status", "--json", "-c", config))

    def is_ready(self):
        tunnels = self.node()["tunnels"]
        return super().is_ready() and all(tunnel["state"] == "up" for tunnel in tunnels)

    def tunnels(self, gateway):
        # The node is listed as well.
        return super().tunnels(gateway) - 1

    def used(self):
        """The gateway that carries what the node sends."""
        through = {route["gateway"] for route in self.node()["routes"] if route["gateway"]}
        if len(through) != 1:
            raise Failed(f"the node uses {through}")
        return PAIR[0] if through == {"gw1.org-a"} else PAIR[1]
