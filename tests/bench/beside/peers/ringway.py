"""Ringway, built for release: two organizations, made as the README says."""

import shutil

from .. import install as programs
from ..laboratory import GATEWAY, LAN, LAN6, SIDES, WAN, other, run
from .peer import Peer

POLICY = """
[[policy.allow]] # iperf3
from = "all"
to = ["{lan}", "{lan6}"]
proto = "{proto}"
ports = 5201
"""


class Ringway(Peer):
    name, label = "ringway", "**Ringway** (AES-128-GCM)"

    def prepare(self, dir, install):
        self.dir, self.program = dir, programs.own("ringway", "ringway")
        for side in SIDES:
            (dir / side).mkdir()
            run(
                self.program, "org", "init", f"org-{side}", "--domain", "bench.example", "--dir",
                dir / side, "--site", f"lan={LAN[side]},{LAN6[side]}", "--endpoint",
                f"{WAN[side]}:4600", "--dns-listen", GATEWAY[side],
            )
            with open(dir / side / "gateway.toml", "a") as config:
                for proto in ["tcp", "udp"]:
                    config.write(POLICY.format(lan=LAN[side], lan6=LAN6[side], proto=proto))
        for side in SIDES:
            record = dir / other(side) / f"org-{other(side)}.member.toml"
            fingerprint = "sha256:" + run("sha256sum", record).split()[0]
            run(
                self.program, "member", "add", record, "-c", dir / side / "gateway.toml",
                "--fingerprint", fingerprint,
            )
        return run(self.program, "--version").split()[-1]

    def up(self, lab):
        run_dir = lab.dir / "ringway"
        shutil.copytree(self.dir, run_dir)
        return [
            lab.start(f"gw-{side}", self.program, "run", "-c", run_dir / side / "gateway.toml")
            for side in SIDES
        ]
