"""A TLS 1.3 relay by haproxy: TCP only, and the kernel's TCP on each leg. A reference for what TLS
costs."""

from .. import install as programs
from ..laboratory import GATEWAY, NODE, SIDES, WAN, run
from .certificates import self_signed
from .peer import Peer

CONFIG = """
global
  maxconn 1000
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind {listen}
  server next {next}
"""


class Haproxy(Peer):
    name, label, carries = "haproxy", "haproxy TLS 1.3 relay (TCP only)", set()
    target = (GATEWAY["a"],)

    def prepare(self, dir, install):
        self.dir, self.program = dir, programs.debian("haproxy", "haproxy", install)
        self_signed(dir, "relay", "relay")
        pem = dir / "relay.pem"
        pem.write_text((dir / "relay.crt").read_text() + (dir / "relay.key").read_text())
        legs = {
            "a": (f"{GATEWAY['a']}:5201", f"{WAN['b']}:5443 ssl verify none"),
            "b": (f"{WAN['b']}:5443 ssl crt {pem}", f"{NODE['b']}:5201"),
        }
        for side, (listen, next) in legs.items():
            (dir / f"{side}.cfg").write_text(CONFIG.format(listen=listen, next=next))
        return run(self.program, "-v").split()[2].split("-")[0]

    def up(self, lab):
        return [
            lab.start(f"gw-{side}", self.program, "-db", "-f", self.dir / f"{side}.cfg")
            for side in SIDES
        ]
