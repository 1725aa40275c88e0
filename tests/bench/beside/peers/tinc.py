"""tinc 1.0, as Debian packages it: its defaults, in router mode."""

from .. import install as programs
from ..laboratory import LAN, LAN6, SIDES, WAN, other, run, until
from .peer import Peer, route


class Tinc(Peer):
    name, label = "tinc", "tinc (Debian)"

    def prepare(self, dir, install):
        self.dir, self.program = dir, programs.debian("tincd", "tinc", install)
        for side in SIDES:
            hosts = dir / side / "hosts"
            hosts.mkdir(parents=True)
            (dir / side / "tinc.conf").write_text(
                f"Name = {side}\nInterface = rwb-{side}\nDeviceType = tun\n"
                f"ConnectTo = {other(side)}\n"
            )
            (hosts / side).write_text(
                f"Address = {WAN[side]}\nSubnet = {LAN[side]}\nSubnet = {LAN6[side]}\n"
            )
            run(self.program, "-c", dir / side, "-K2048", input="\n\n")
        for side in SIDES:
            there = other(side)
            (dir / side / "hosts" / there).write_text((dir / there / "hosts" / there).read_text())
        return run(self.program, "--version").split()[2]

    def up(self, lab):
        processes = []
        for side in SIDES:
            machine, device = f"gw-{side}", f"rwb-{side}"
            processes.append(
                lab.start(
                    machine, self.program, "-c", self.dir / side, "-D",
                    f"--pidfile={lab.dir}/tinc-{side}.pid",
                )
            )
            until(device, 5, lambda: lab.run(machine, "ip", "link", "show", device))
            lab.ip(machine, f"link set {device} up\n")
        route(lab, "rwb-")
        return processes
