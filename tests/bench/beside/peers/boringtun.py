"""boringtun-cli: WireGuard in Rust."""

from .. import install as programs
from .wireguard import Wireguard


class Boringtun(Wireguard):
    name, label = "boringtun", "boringtun (Rust)"

    def prepare(self, dir, install):
        self.command = [programs.crate("boringtun-cli", install), "-f", "--disable-drop-privileges"]
        self.prepare_keys(dir, install)
        return programs.version("boringtun-cli")
