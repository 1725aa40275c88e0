"""openvpn, as Debian packages it: TLS, AES-128-GCM, without the kernel's data channel offload."""

from .. import install as programs
from ..laboratory import SIDES, WAN, other, run, until
from .certificates import fingerprint, self_signed
from .peer import Peer, route


class Openvpn(Peer):
    name, label = "openvpn", "openvpn (Debian, AES-128-GCM, no DCO)"

    def prepare(self, dir, install):
        self.dir, self.program = dir, programs.debian("openvpn", "openvpn", install)
        for side in SIDES:
            self_signed(dir, side, f"gw-{side}")
        return run(self.program, "--version").split()[1]

    def up(self, lab):
        processes = [self.start(lab, side) for side in SIDES]
        for side in SIDES:
            until(
                "device",
                10,
                lambda: "UP" in lab.run(f"gw-{side}", "ip", "-br", "link", "show", f"rwb-{side}"),
            )
        route(lab, "rwb-")
        return processes

    def start(self, lab, side):
        there, n = other(side), SIDES[side]
        role = ["--tls-server", "--dh", "none"] if side == "a" else ["--tls-client"]
        return lab.start(
            f"gw-{side}", self.program, "--dev", f"rwb-{side}", "--dev-type", "tun", "--proto",
            "udp", "--disable-dco", "--local", WAN[side], "--remote", WAN[there], "--port", "1194",
            *role, "--data-ciphers", "AES-128-GCM", "--cert", self.dir / f"{side}.crt", "--key",
            self.dir / f"{side}.key", "--peer-fingerprint", fingerprint(self.dir / f"{there}.crt"),
            "--ifconfig", f"10.78.0.{n}", f"10.78.0.{3 - n}", "--ifconfig-ipv6", f"fd78::{n}/64",
            f"fd78::{3 - n}", "--verb", "3",
        )
