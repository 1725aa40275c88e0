"""Server: one DNS server with the zone, one thread, on a port of its own."""

import json, os, pathlib, re, subprocess, time

from beside.install import ROOT, debian, own
from beside.laboratory import run

from .zone import APEX, SERVER

PATIENCE = 120


def ringway(dir, port, install):
    """dns/examples/serve.rs, built for release; BENCH_SERVE names another build of it."""
    program = os.environ.get("BENCH_SERVE") or build()
    return [program, f"127.0.0.1:{port}", str(dir / "zone")]


def build():
    command = [
        "cargo", "build", "--locked", "--release", "-q", "-p", "ringway-dns", "--example", "serve",
        "--message-format=json",
    ]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    made = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return next(
        m["executable"]
        for m in made
        if m.get("target", {}).get("name") == "serve" and m.get("executable")
    )


DNS = """[dns]
zone-files = ["zone"]
rate-limit = { site = 0, members = 0 }
"""


def gateway(dir, port, install):
    """A whole gateway, built for release, with the zone as a zone file of its organization."""
    program, organization, domain = own("ringway", "ringway"), *APEX.rstrip(".").split(".", 1)
    run(
        program, "org", "init", organization, "--domain", domain, "--dir", dir / "gateway",
        "--site", "lan=10.0.0.0/8", "--endpoint", "127.0.0.1:4600",
        "--dns-listen", f"{SERVER}:{port}",
    )
    lines = [line for line in (dir / "zone").read_text().splitlines() if " A " in line]
    (dir / "gateway" / "zone").write_text("$TTL 5\n" + "\n".join(lines[1:]) + "\n")
    file = dir / "gateway" / "gateway.toml"
    file.write_text(file.read_text().replace("[dns]\n", DNS, 1))
    return [program, "run", "-c", file]


def nsd(dir, port, install):
    (dir / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{dir}"
  database: ""
  pidfile: "{dir}/nsd.pid"
  xfrdfile: "{dir}/nsd.xfrd"
  xfrdir: "{dir}"
  zonelistfile: "{dir}/nsd.list"
  logfile: "{dir}/nsd.log"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "{APEX}"
  zonefile: "zone"
""")
    return [debian("nsd", "nsd", install), "-d", "-c", str(dir / "nsd.conf")]


def knot(dir, port, install):
    (dir / "knot.conf").write_text(f"""
server:
    rundir: "{dir}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: "{dir}"
zone:
  - domain: "{APEX}"
    storage: "{dir}"
    file: "zone"
    zonefile-sync: -1
""")
    return [debian("knotd", "knot", install), "-c", str(dir / "knot.conf")]


def unbound(dir, port, install):
    """As an authority: auth-zone, answered downstream."""
    (dir / "unbound.conf").write_text(f"""
server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{dir}"
  use-syslog: no
  num-threads: 1
  incoming-num-tcp: 100
  module-config: "iterator"
auth-zone:
  name: "{APEX}"
  zonefile: "zone"
  for-downstream: yes
  for-upstream: no
""")
    return [debian("unbound", "unbound", install), "-d", "-c", str(dir / "unbound.conf")]


# None has a limit of its rate.
KINDS = {
    "Ringway": ringway, "Ringway gateway": gateway, "NSD": nsd, "Knot": knot, "unbound": unbound,
}


class Server:
    """Running from here on in `namespace`; `took` seconds from its start to its first answer."""

    def __init__(self, name, dir, install, namespace):
        self.name, self.namespace, self.dir = name, namespace, dir / name
        self.address = SERVER if KINDS[name] is gateway else "127.0.0.1"
        self.port = 5301 + [*KINDS].index(name)
        self.dir.mkdir()
        (self.dir / "zone").symlink_to(dir / "zone")
        program = KINDS[name](self.dir, self.port, install)
        command = namespace.command(*program)
        self.log, begin = self.dir / "out", time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self.wait(begin + PATIENCE)
        except BaseException:
            self.stop()
            raise
        self.took = time.monotonic() - begin

    def wait(self, deadline):
        ask = self.namespace.command(
            "dig", "+short", "+time=1", "+tries=1", "-p", self.port, f"@{self.address}",
            f"peer0.{APEX}",
        )
        while "10.0.0.0" not in subprocess.run(ask, capture_output=True, text=True).stdout:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not answer:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        """Seconds of CPU so far, user and system."""
        ticks = 0
        for pid in family(self.process.pid):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Proportional share of memory, MiB."""
        read = lambda pid: pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        pids = family(self.process.pid)
        return sum(int(re.search(r"^Pss:\s+(\d+)", read(pid), re.M)[1]) for pid in pids) / 1024


def family(pid):
    """The process and its descendants: NSD answers from a child."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [p for child in children for p in family(int(child))]
