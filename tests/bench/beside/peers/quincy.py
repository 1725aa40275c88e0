"""quincy: a VPN of QUIC datagrams on quinn (TLS). It carries a client's own address only: node-a's
is masqueraded behind it, and IPv4 only."""

from .. import install as programs
from ..laboratory import LAN, WAN, until
from .certificates import fingerprint, self_signed
from .peer import Peer

SERVER = """
name = "bench"
interface_name = "rwb-b"
bind_address = "{address}"
bind_port = 55555
tunnel_network = "10.78.0.1/24"
users_file = "{dir}/users.toml"
[protocol]
mode = "tls"
certificate_file = "{dir}/server.crt"
certificate_key_file = "{dir}/server.key"
[log]
level = "info"
"""
CLIENT = """
connection_string = "{address}:55555"
[protocol]
mode = "tls"
trusted_certificate_paths = ["{dir}/server.crt"]
client_certificate_file = "{dir}/client.crt"
client_certificate_key_file = "{dir}/client.key"
[network]
interface_name = "rwb-a"
routes = ["{lan}"]
[log]
level = "info"
"""


class Quincy(Peer):
    name, label, carries = "quincy", "quincy (Rust, quinn datagrams)", {"ping", "udp"}

    def prepare(self, dir, install):
        self.dir = dir
        self.server, self.client = (
            programs.crate(f"quincy-{role}", install) for role in ["server", "client"]
        )
        self_signed(dir, "server", "quincy", WAN["b"])
        self_signed(dir, "client", "client")
        digest = fingerprint(dir / "client.crt").replace(":", "").lower()
        (dir / "users.toml").write_text(
            f'[users.a]\nauthorized_keys = []\nauthorized_certs = ["sha256:{digest}"]\n'
        )
        (dir / "server.toml").write_text(SERVER.format(dir=dir, address=WAN["b"]))
        (dir / "client.toml").write_text(CLIENT.format(dir=dir, address=WAN["b"], lan=LAN["b"]))
        return programs.version("quincy-server")

    def up(self, lab):
        server = lab.start("gw-b", self.server, "--config-path", self.dir / "server.toml")
        until("quincy server", 5, lambda: lab.run("gw-b", "ss", "-Hlnu", "sport = :55555"))
        client = lab.start("gw-a", self.client, "--config-path", self.dir / "client.toml")
        until("quincy client", 10, lambda: lab.run("gw-a", "ip", "route", "show", LAN["b"]))
        lab.run(
            "gw-a",
            "nft",
            "add table ip rwb; add chain ip rwb post { type nat hook postrouting priority 100; };"
            "add rule ip rwb post oifname rwb-a masquerade",
        )
        return [client, server]
