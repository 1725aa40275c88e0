"""nebula, as Debian packages it (AES-256-GCM). This version carries IPv4 only."""

from .. import install as programs
from ..laboratory import LAN, SIDES, WAN, other, run
from .peer import Peer

CONFIG = """
pki: {{ca: {dir}/ca.crt, cert: {dir}/{side}.crt, key: {dir}/{side}.key}}
static_host_map: {{"10.78.0.{there_n}": ["{there_wan}:4242"]}}
lighthouse: {{am_lighthouse: false, hosts: []}}
listen: {{host: {listen}, port: 4242}}
punchy: {{punch: false}}
cipher: aes
tun:
  dev: rwb-{side}
  unsafe_routes: [{{route: "{there_lan}", via: 10.78.0.{there_n}}}]
logging: {{level: warning, format: text}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
"""


class Nebula(Peer):
    name, label, carries = "nebula", "nebula (Debian)", {"ping", "udp"}

    def prepare(self, dir, install):
        self.dir, self.program = dir, programs.debian("nebula", "nebula", install)
        cert = programs.debian("nebula-cert", "nebula", install)
        run(cert, "ca", "-name", "bench", cwd=dir)
        for side, n in SIDES.items():
            there = other(side)
            run(
                cert,
                "sign",
                "-name",
                side,
                "-ip",
                f"10.78.0.{n}/24",
                "-subnets",
                LAN[side],
                cwd=dir,
            )
            text = CONFIG.format(
                dir=dir, side=side, listen="0.0.0.0", there_n=SIDES[there], there_wan=WAN[there],
                there_lan=LAN[there],
            )
            (dir / f"{side}.yml").write_text(text)
        return run(self.program, "-version").split()[-1]

    def up(self, lab):
        return [
            lab.start(f"gw-{side}", self.program, "-config", self.dir / f"{side}.yml")
            for side in SIDES
        ]
