"""The peers that are measured, one adapter per file, in the order of the turns."""

from .boringtun import Boringtun
from .haproxy import Haproxy
from .nebula import Nebula
from .openvpn import Openvpn
from .quincy import Quincy
from .ringway import Ringway
from .routing import Routing
from .tinc import Tinc
from .vpncloud import Vpncloud
from .wireguard_go import WireguardGo

ALL = {
    peer.name: peer
    for peer in [
        Routing(), Ringway(), Nebula(), WireguardGo(), Quincy(), Boringtun(), Openvpn(), Tinc(),
        Vpncloud(), Haproxy(),
    ]
}
