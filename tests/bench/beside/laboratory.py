"""Lab: network namespaces joined by cables, and the programs that run in them.

    node-a ──── lan ─ gw-a ─ wan ════════════════════ wan ─ gw-b ─ lan ──── node-b
    10.77.1.2     10.77.1.1  192.0.2.1        192.0.2.2  10.77.2.1     10.77.2.2
    fd77:1::2     fd77:1::1  2001:db8:77::1   …77::2     fd77:2::1     fd77:2::2

It is removed at the end of its `with` block. The next run removes the remains of a killed one,
whose namespaces and files carry the number of its process.
"""

import contextlib, os, pathlib, shutil, signal, subprocess, tempfile, time

SIDES = {"a": 1, "b": 2}
WAN = {side: f"192.0.2.{n}" for side, n in SIDES.items()}
WAN6 = {side: f"2001:db8:77::{n}" for side, n in SIDES.items()}
LAN = {side: f"10.77.{n}.0/24" for side, n in SIDES.items()}
LAN6 = {side: f"fd77:{n}::/64" for side, n in SIDES.items()}
NODE = {side: f"10.77.{n}.2" for side, n in SIDES.items()}
NODE6 = {side: f"fd77:{n}::2" for side, n in SIDES.items()}
GATEWAY = {side: f"10.77.{n}.1" for side, n in SIDES.items()}
NAME = "rwbench"
SOCKET_BUFFER = 4 << 20

SETTINGS = """
for name in all default; do
  echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/$name/accept_ra
  echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter
done
"""
FORWARD = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"


def other(side):
    return "b" if side == "a" else "a"


class Failed(Exception):
    """A candidate or a measurement did not work; says why."""


class Lab:
    machines = ["node-a", "gw-a", "gw-b", "node-b"]

    def __init__(self, dir, wire=False, name="lab"):
        """`wire`: packets of the size of the MTU cross the WAN, as on a real one. `name` tells it
        from others that are up at the same time."""
        self.dir, self.wire, self.name, self.started = pathlib.Path(dir), wire, name, []

    def __enter__(self):
        remove_leftovers()
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.terminate()
        for process in self.started:
            end(process)
        self.started.clear()
        for machine in self.machines:
            remove(self.netns(machine))

    def netns(self, machine):
        return f"{NAME}-{os.getpid()}-{self.name}-{machine}"

    def run(self, machine, *command, **options):
        """What the command prints on that machine; its failure is `Failed`, with what it said."""
        return run("ip", "netns", "exec", self.netns(machine), *command, **options)

    def start(self, machine, *command, **options):
        """Starts a program that runs until the laboratory goes away. Its output goes to a file."""
        with open(self.log(machine, command[0]), "a") as log:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options}
            line = ["ip", "netns", "exec", self.netns(machine), *map(str, command)]
            process = subprocess.Popen(line, start_new_session=True, **options)
        self.started.append(process)
        return process

    def log(self, machine, program):
        return self.dir / f"{machine}-{pathlib.Path(program).name}.log"

    def ip(self, machine, lines, *options):
        """Lines for ip(8)."""
        run("ip", "-n", self.netns(machine), *options, "-batch", "-", input=lines)

    def hop(self, side, wan=WAN):
        """The next hop of `side` on its way to the other gateway."""
        return wan[other(side)]

    def make(self):
        for machine in self.machines:
            run("ip", "netns", "add", self.netns(machine))
            self.run(
                machine, "sh", "-ec", SETTINGS + (FORWARD if not machine.startswith("node") else "")
            )
            self.ip(machine, "link set lo up\n")
        for side, n in SIDES.items():
            self.cable(f"node-{side}", "lan", f"gw-{side}", "lan")
            for machine, host in [(f"node-{side}", 2), (f"gw-{side}", 1)]:
                self.ip(
                    machine,
                    f"addr add 10.77.{n}.{host}/24 dev lan\naddr add fd77:{n}::{host}/64 dev lan\n"
                    "link set lan up\n",
                )
            self.ip(
                f"node-{side}",
                f"route add default via 10.77.{n}.1\nroute add default via fd77:{n}::1\n",
            )
        self.join()

    def join(self):
        self.cable("gw-a", "wan", "gw-b", "wan")
        for side in SIDES:
            self.ip(
                f"gw-{side}",
                f"addr add {WAN[side]}/24 dev wan\naddr add {WAN6[side]}/64 dev wan\n"
                "link set wan up\n",
            )
            if self.wire:
                off = "tso off tx-udp-segmentation off gro on".split()
                self.run(f"gw-{side}", "ethtool", "-K", "wan", *off)

    def cable(self, machine, device, other_machine, other_device):
        run(
            "ip", "link", "add", device, "netns", self.netns(machine), "type", "veth", "peer",
            "name", other_device, "netns", self.netns(other_machine),
        )


def run(*command, timeout=20, **options):
    try:
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, timeout=timeout, **options
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(map(str, command[4:]))} did not end in {timeout} s")
    if done.returncode:
        raise Failed(
            f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-400:]}"
        )
    return done.stdout


def until(what, seconds, condition, pause=0.1):
    """Waits until the condition is true; `Failed` is "not yet"."""
    deadline, why = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except Failed as failed:
            why = f": {failed}"
        time.sleep(pause)
    raise Failed(f"no {what} within {seconds} s{why}")


def end(process):
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove(netns):
    """Ends what still runs in a namespace, and removes it."""
    pids = subprocess.run(["ip", "netns", "pids", netns], capture_output=True, text=True).stdout
    for pid in pids.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    subprocess.run(["ip", "netns", "del", netns], capture_output=True)


def remove_leftovers():
    netns = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    for name in netns + os.listdir(tempfile.gettempdir()):
        parts = name.split("-")
        if parts[0] == NAME and not os.path.exists(f"/proc/{parts[1]}"):
            remove(name) if name in netns else shutil.rmtree(
                f"{tempfile.gettempdir()}/{name}", ignore_errors=True
            )


@contextlib.contextmanager
def prepared_host():
    """What the host must give all namespaces: BBR, and socket buffers as large as iperf3 asks for.
    Yields a directory for the run's files; both go back to what they were."""
    available = pathlib.Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    if "bbr" not in available.read_text() and subprocess.run(["modprobe", "tcp_bbr"]).returncode:
        raise SystemExit("this kernel has no BBR (tcp_bbr)")
    limits = [pathlib.Path(f"/proc/sys/net/core/{name}") for name in ["rmem_max", "wmem_max"]]
    before = [limit.read_text() for limit in limits]
    try:
        for limit, value in zip(limits, before):
            limit.write_text(str(max(int(value), SOCKET_BUFFER)))
        with tempfile.TemporaryDirectory(prefix=f"{NAME}-{os.getpid()}-") as dir:
            yield pathlib.Path(dir)
    finally:
        for limit, value in zip(limits, before):
            limit.write_text(value)
