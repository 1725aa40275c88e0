"""From a change to its being visible: a record of one gateway, asked of all three in a laboratory.

A change is a new address in gateway.toml and a SIGHUP; the clock runs from before the file is
written until each gateway's answer has the new address. Each is asked every 2 ms, from inside its
own namespace.
"""

import ctypes, json, os, pathlib, random, selectors, signal, socket, struct, subprocess, time

from beside.install import own

PATIENCE = 20
OWNER, NAME = "gw.org1", "bench.org1.consortium.example."
SETUP = '\n[[dns.record]]\nname = "bench"\ntype = "A"\ndata = "10.10.1.{}"\n'
CLONE_NEWNET = 0x40000000


def measure(changes):
    """Milliseconds, by gateway, of each change."""
    program, lab = own("ringway", "ringway"), f"bench-dns-{os.getpid()}"
    run = lambda *verb: subprocess.run(
        [program, "lab", *verb, "--name", lab], check=True, capture_output=True, text=True
    )
    try:
        run("up")
        nodes = {node["name"]: node for node in json.loads(run("status", "--json").stdout)["nodes"]}
        gateways = {name: Asked(node) for name, node in nodes.items() if node["kind"] == "gateway"}
        return [change(nodes[OWNER], gateways, number) for number in range(changes + 1)][1:]
    finally:
        subprocess.run([program, "lab", "down", "--name", lab], capture_output=True)


def change(owner, gateways, number):
    """One change after a pause of no fixed length, so that it meets every phase of any timer."""
    time.sleep(random.uniform(0.9, 1.5))
    config, last = pathlib.Path(owner["config"]), 100 + number % 100
    text = config.read_text()
    old = SETUP.format(100 + (number - 1) % 100)
    new = text.replace(old, SETUP.format(last)) if number else text + SETUP.format(last)
    begin = time.monotonic()
    config.write_text(new)
    os.kill(owner["pid"], signal.SIGHUP)
    seen, address = {}, bytes([10, 10, 1, last])
    while len(seen) < len(gateways):
        for name, gateway in gateways.items():
            if name not in seen and gateway.says(address):
                seen[name] = (time.monotonic() - begin) * 1000
        if time.monotonic() - begin > PATIENCE:
            raise SystemExit(f"a change was not visible after {PATIENCE} s: only {seen}")
    return seen


class Asked:
    """A gateway, asked over a socket that was made in its namespace."""

    def __init__(self, node):
        here, there = (
            os.open("/proc/self/ns/net", os.O_RDONLY),
            os.open(f"/run/netns/{node['netns']}", os.O_RDONLY),
        )
        setns(there)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        setns(here)
        os.close(here), os.close(there)
        self.socket.connect((node["addresses"][0], 53))
        self.socket.settimeout(0.002)

    def says(self, address):
        """True if an answer of the next two milliseconds ends in `address`."""
        labels = b"".join(
            bytes([len(label)]) + label.encode() for label in NAME.split(".") if label
        )
        try:
            self.socket.send(struct.pack(">6H", 1, 0, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
            answer = self.socket.recv(512)
        except (TimeoutError, ConnectionError):
            return False
        time.sleep(0.002)
        return answer.endswith(address)


def setns(fd):
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: run as root")
