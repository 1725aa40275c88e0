"""EmulatedLab: a Lab whose WAN is a router that leads everything through the link emulator.

    gw-a ─ wan ════ to-a │ wan: left ═ ringway-emulator ═ right │ to-b ════ wan ─ gw-b

What comes from a side is routed into the emulator's device for that side; what leaves the emulator
takes the ordinary routes. The private networks are routed too, so that the un-tunnelled reference
crosses the same link.
"""

import json, subprocess

from .laboratory import LAN, LAN6, SIDES, WAN, WAN6, Failed, Lab, other

HOP = {side: f"192.0.2.10{n}" for side, n in SIDES.items()}
HOP6 = {side: f"2001:db8:77::10{n}" for side, n in SIDES.items()}
# What the emulator emits is asked first, so that it never comes twice.
RULES = """rule add priority 100 iif left lookup main
rule add priority 101 iif right lookup main
rule add priority 110 iif to-a lookup 71
rule add priority 111 iif to-b lookup 72
route add default dev left table 71
route add default dev right table 72
"""


class EmulatedLab(Lab):
    machines = [*Lab.machines, "wan"]

    def __init__(self, dir, name, emulator, seed=1):
        super().__init__(dir, name=name)
        self.emulator, self.seed = emulator, seed

    def hop(self, side, wan=WAN):
        return (HOP if wan is WAN else HOP6)[side]

    def join(self):
        for side in SIDES:
            there, hop, hop6 = other(side), HOP[side], HOP6[side]
            self.cable(f"gw-{side}", "wan", "wan", f"to-{side}")
            self.ip(
                f"gw-{side}",
                f"addr add {WAN[side]} peer {hop} dev wan\naddr add {WAN6[side]}/128 dev wan\n"
                f"link set wan up\nroute add {WAN[there]} via {hop}\n"
                f"route add {hop6} dev wan\nroute add {WAN6[there]} via {hop6}\n",
            )
            self.ip(
                "wan",
                f"addr add {hop} peer {WAN[side]} dev to-{side}\n"
                f"addr add {hop6}/128 dev to-{side}\n"
                f"link set to-{side} up\nroute add {WAN6[side]} dev to-{side}\n"
                f"route add {LAN[side]} via {WAN[side]}\nroute add {LAN6[side]} via {WAN6[side]}\n",
            )
        pipe = subprocess.PIPE
        self.control = self.start(
            "wan", self.emulator, "left", "right", self.seed, stdin=pipe, stdout=pipe, text=True
        )
        if self.control.stdout.readline().strip() != "ready":
            raise Failed(f"the emulator did not start; see {self.log('wan', self.emulator)}")
        for family in ["-4", "-6"]:
            self.ip("wan", RULES, family)

    def tell(self, *lines):
        """Says the lines to the emulator; gives its last answer."""
        answer = ""
        for line in lines:
            self.control.stdin.write(line + "\n")
            self.control.stdin.flush()
            answer = self.control.stdout.readline().strip()
            if not answer or answer.startswith("error"):
                raise Failed(f"the emulator to {line!r}: {answer}")
        return answer

    def counts(self):
        return json.loads(self.tell("counts"))
