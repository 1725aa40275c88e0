"""Two routers with one nebula identity. keepalived decides which of them has the virtual addresses,
also the one that the other site's nebula sends to: this version knows one router for a network."""

from beside import install as programs
from beside.laboratory import LAN, run
from beside.peers import nebula
from beside.siblings import WAN_B

from .keepalived import OUTSIDE, Keepalived

NUMBER = {"a": 1, "b": 2}


class Nebula(Keepalived):
    name = "nebula"

    def prepare(self):
        super().prepare()
        self.program = programs.debian("nebula", "nebula", True)
        cert = programs.debian("nebula-cert", "nebula", True)
        run(cert, "ca", "-name", "bench", cwd=self.lab.dir)
        for side, there, listen, to in [("a", "b", OUTSIDE, WAN_B), ("b", "a", WAN_B, OUTSIDE)]:
            address = f"10.78.0.{NUMBER[side]}/24"
            run(
                cert, "sign", "-name", side, "-ip", address, "-subnets", LAN[side],
                cwd=self.lab.dir,
            )
            text = nebula.CONFIG.format(
                dir=self.lab.dir, side=side, listen=listen, there_n=NUMBER[there], there_wan=to,
                there_lan=LAN[there],
            )
            self.tunnel(side).write_text(text)

    def tunnel(self, side):
        return self.lab.dir / f"{side}.yml"

    def far_route(self):
        self.lab.start("gw-b", self.program, "-config", self.tunnel("b"))

    def route(self, gateway):
        """nebula routes to the other site."""

    def start(self, gateway):
        super().start(gateway)
        # The virtual address may be the other gateway's.
        self.lab.run(gateway, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind")
        self.lab.start(gateway, self.program, "-config", self.tunnel("a"))
