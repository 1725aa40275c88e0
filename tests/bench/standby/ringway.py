"""Two Ringway gateways of one organization at one site."""

from beside import install as programs
from beside.laboratory import LAN, Failed, end, run
from beside.siblings import PAIR, VIRTUAL, WAN_B, SiblingLab, lan, wan
from beside.steady import PROBE, PUSHING

POLICY = """
[[policy.allow]]
from = "all"
to = "{lan}"
proto = "{proto}"
ports = "{first}-{last}"
"""
ADDRESS = """
[ha]
addresses = ["{virtual}/24"]
interface = "lan"
"""
ROUTE = """
[ha]
on-active = [
  "/usr/sbin/ip", "-n", "{host}", "route", "replace", "default", "via", "{gateway}",
]
"""
QUESTION = "node.org-b.bench.example"


class Ringway:
    name = "ringway"
    lab_class = SiblingLab
    near = "node-a"
    faults = [
        "kill", "link-down", "lan-link", "black-hole", "black-hole-out", "black-hole-in",
        "lan-partition", "reboot", "drain", "upgrade",
    ]

    def __init__(self, lab, hosts):
        self.lab, self.hosts = lab, hosts
        self.program = programs.own("ringway", "ringway")
        self.dir = lab.dir / "ringway"
        self.running = {}

    def home(self, gateway):
        return self.dir / gateway

    def prepare(self):
        self.dir.mkdir()
        first, second = PAIR
        self.init("a", self.home(first), "gw1", first, ["--dns-listen", VIRTUAL])
        self.init("b", self.home("gw-b"), "gw", "gw-b", ["--host", "node=10.77.2.2"])
        for home in [self.home(first), self.home("gw-b")]:
            self.allow(home / "gateway.toml", "a" if home == self.home(first) else "b")
        record = self.home(first) / "org-a.member.toml"
        run(
            self.program, "gateway", "add", "gw2", "--site", "lan", "--endpoint",
            f"{wan(second)}:4600", "--dns-listen", VIRTUAL, "--dns-listen", lan(second), "--ca",
            self.home(first) / "ca", "--dir", self.home(second), "-c",
            self.home(first) / "gateway.toml",
        )
        self.exchange(record, self.home("gw-b"))
        self.exchange(self.home("gw-b") / "org-b.member.toml", self.home(first))
        self.exchange(self.home("gw-b") / "org-b.member.toml", self.home(second))
        for gateway in PAIR:
            form = ADDRESS if self.hosts == "address" else ROUTE
            host = self.lab.netns("node-a")
            with open(self.home(gateway) / "gateway.toml", "a") as config:
                config.write(form.format(virtual=VIRTUAL, host=host, gateway=lan(gateway)))

    def init(self, side, home, name, gateway, more):
        home.mkdir()
        own = lan(gateway) if gateway in PAIR else "10.77.2.1"
        run(
            self.program, "org", "init", f"org-{side}", "--domain", "bench.example", "--gateway",
            name, "--dir", home, "--site", f"lan={LAN[side]}", "--endpoint",
            f"{wan(gateway) if gateway in PAIR else WAN_B}:4600", "--dns-listen", own, *more,
        )

    def allow(self, config, side):
        with open(config, "a") as file:
            for proto in ["tcp", "udp"]:
                file.write(
                    POLICY.format(lan=LAN[side], proto=proto, first=PROBE, last=PUSHING)
                )

    def exchange(self, record, home):
        if (home / record.name).exists():
            return
        fingerprint = "sha256:" + run("sha256sum", record).split()[0]
        run(
            self.program, "member", "add", record, "-c", home / "gateway.toml", "--fingerprint",
            fingerprint,
        )

    def up(self):
        for gateway in [*PAIR, "gw-b"]:
            self.start(gateway)

    def start(self, gateway):
        config = self.home(gateway) / "gateway.toml"
        self.running[gateway] = self.lab.start(gateway, self.program, "run", "-c", config)

    def stop(self, gateway, number):
        # ip netns exec has become the program.
        self.running[gateway].send_signal(number)
        end(self.running.pop(gateway))

    def role(self, gateway):
        try:
            config = self.home(gateway) / "gateway.toml"
            self.lab.run(gateway, self.program, "role", "--quiet", "-c", config, timeout=5)
            return "active"
        except Failed:
            return "standby"

    def active(self):
        found = [gateway for gateway in PAIR if self.role(gateway) == "active"]
        return found[0] if len(found) == 1 else None

    def is_ready(self):
        """One is active, and both have a tunnel to the other site and to each other."""
        return self.active() and all(self.tunnels(gateway) == 2 for gateway in PAIR)

    def tunnels(self, gateway):
        config = self.home(gateway) / "gateway.toml"
        printed = self.lab.run(gateway, self.program, "status", "-c", config)
        return printed.count(" up ") - printed.count(" up for ")

    def drain(self, gateway):
        config = self.home(gateway) / "gateway.toml"
        self.lab.run(gateway, self.program, "drain", "-c", config)

    def undrain(self, gateway):
        config = self.home(gateway) / "gateway.toml"
        self.lab.run(gateway, self.program, "drain", "--cancel", "-c", config)
