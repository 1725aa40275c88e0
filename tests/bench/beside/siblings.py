"""SiblingLab: a site with two gateways, and another site with one.

                    ┌─ lan  gw-a1  wan ─┐
    node-a ── lan ──┤                   ├── wan ── gw-b ── node-b
                    └─ lan  gw-a2  wan ─┘
    10.77.1.2     10.77.1.11, .12   192.0.2.11, .12   .3  10.77.2.1   10.77.2.2

The networks are switches in namespaces of their own. node-a leaves its site by 10.77.1.1, an
address that the gateways move between each other, or by a route that they move.
"""

from .laboratory import FORWARD, LAN, NODE, SETTINGS, Lab, run

PAIR = ["gw-a1", "gw-a2"]
HOST = {"gw-a1": 11, "gw-a2": 12}
VIRTUAL = "10.77.1.1"
WAN_B = "192.0.2.3"


def lan(gateway):
    return f"10.77.1.{HOST[gateway]}"


def wan(gateway):
    return f"192.0.2.{HOST[gateway]}" if gateway in HOST else WAN_B


class SiblingLab(Lab):
    machines = ["lan", "wan", "node-a", *PAIR, "gw-b", "node-b"]

    def make(self):
        for machine in self.machines:
            run("ip", "netns", "add", self.netns(machine))
            forwards = machine.startswith("gw")
            self.run(machine, "sh", "-ec", SETTINGS + (FORWARD if forwards else ""))
            self.ip(machine, "link set lo up\n")
        for switch in ["lan", "wan"]:
            self.ip(switch, "link add switch type bridge\nlink set switch up\n")

        for gateway in PAIR:
            self.plug(gateway, "lan", f"{lan(gateway)}/24")
            self.plug(gateway, "wan", f"{wan(gateway)}/24")
        self.plug("node-a", "lan", f"{NODE['a']}/24")
        self.plug("gw-b", "wan", f"{WAN_B}/24")
        self.ip("node-a", f"route add default via {VIRTUAL}\n")
        self.join_b()

    def plug(self, machine, switch, address):
        """Connects a machine to a switch, whose port has the machine's name."""
        self.cable(machine, switch, switch, machine)
        self.ip(switch, f"link set {machine} master switch up\n")
        self.ip(machine, f"addr add {address} dev {switch}\nlink set {switch} up\n")

    def join_b(self):
        self.cable("node-b", "lan", "gw-b", "lan")
        for machine, host in [("node-b", 2), ("gw-b", 1)]:
            self.ip(machine, f"addr add 10.77.2.{host}/24 dev lan\nlink set lan up\n")
        self.ip("node-b", f"route add {LAN['a']} via 10.77.2.1\n")

    def cut(self, switch, rules):
        """Drops frames in a switch; each rule is an expression for nft."""
        lines = "".join(f"  {rule} drop\n" for rule in rules)
        table = "table bridge cut {\n chain forward {\n  type filter hook forward priority 0;\n"
        self.run(switch, "nft", "-f", "-", input=f"{table}{lines} }}\n}}\n")

    def heal(self, switch):
        self.run(switch, "sh", "-c", "nft delete table bridge cut 2>/dev/null || true")
