"""wireguard-go, as Debian packages it."""

from .. import install as programs
from ..laboratory import run
from .wireguard import Wireguard


class WireguardGo(Wireguard):
    name, label = "wireguard-go", "wireguard-go (Debian)"

    def prepare(self, dir, install):
        self.command = [programs.debian("wireguard-go", "wireguard-go", install), "-f"]
        self.prepare_keys(dir, install)
        return run("dpkg-query", "-Wf", "${Version}", "wireguard-go")
