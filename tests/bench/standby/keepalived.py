"""Two routers with keepalived (VRRP with its usual interval of 1 s), and no tunnel."""

import os

from beside import install as programs
from beside.laboratory import LAN, end, run
from beside.siblings import PAIR, VIRTUAL, WAN_B, SiblingLab

# The address on the WAN that the other site sends to.
OUTSIDE = "192.0.2.1"
CONFIG = """
global_defs {{
  script_user root
}}
vrrp_sync_group site {{
  group {{
    inside
    outside
  }}
}}
vrrp_instance inside {{
  state BACKUP
  nopreempt
  interface lan
  track_interface {{
    wan
  }}
  virtual_router_id 51
  priority {priority}
  virtual_ipaddress {{
    {virtual}/24
  }}
}}
vrrp_instance outside {{
  state BACKUP
  nopreempt
  interface wan
  virtual_router_id 52
  priority {priority}
  virtual_ipaddress {{
    {outside}/24
  }}
}}
"""


class Keepalived:
    name = "keepalived"
    lab_class = SiblingLab
    near = "node-a"
    faults = [
        "kill", "link-down", "lan-link", "black-hole", "black-hole-out", "black-hole-in",
        "lan-partition", "reboot",
    ]

    def __init__(self, lab, hosts):
        self.lab, self.running = lab, {}

    def prepare(self):
        programs.debian("keepalived", "keepalived", True)
        for gateway, priority in zip(PAIR, [110, 100]):
            text = CONFIG.format(priority=priority, virtual=VIRTUAL, outside=OUTSIDE)
            self.config(gateway).write_text(text)

    def config(self, gateway):
        return self.lab.dir / f"{gateway}.keepalived"

    def up(self):
        for gateway in PAIR:
            self.start(gateway)
        self.far_route()

    def far_route(self):
        """The other site's way to this one."""
        self.lab.ip("gw-b", f"route add {LAN['a']} via {OUTSIDE}\n")

    def route(self, gateway):
        """The way to the other site, which a link that goes down takes away."""
        self.lab.ip(gateway, f"route replace {LAN['b']} via {WAN_B}\n")

    def start(self, gateway):
        self.route(gateway)
        pid = self.lab.dir / f"{gateway}.pid"
        # What was killed leaves them, and its number may have been given out again.
        for file in [pid, pid.with_suffix(".pid.vrrp")]:
            file.unlink(missing_ok=True)
        line = [
            "keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", self.config(gateway),
            "-p", pid, "-r", f"{pid}.vrrp",
        ]
        self.running[gateway] = self.lab.start(gateway, *line)

    def stop(self, gateway, number):
        # Its VRRP process is a child. A host that dies loses its addresses, too.
        for pid in run("ip", "netns", "pids", self.lab.netns(gateway)).split():
            os.kill(int(pid), number)
        end(self.running.pop(gateway))
        for address, device in [(VIRTUAL, "lan"), (OUTSIDE, "wan")]:
            gone = f"ip addr del {address}/24 dev {device} 2>/dev/null || true"
            self.lab.run(gateway, "sh", "-c", gone)

    def active(self):
        found = [
            gateway for gateway in PAIR
            if f" {VIRTUAL}/" in self.lab.run(gateway, "ip", "-o", "addr", "show", "dev", "lan")
        ]
        return found[0] if len(found) == 1 else None

    def is_ready(self):
        for gateway in PAIR:
            self.route(gateway)
        return self.active() and len(self.running) == 2
