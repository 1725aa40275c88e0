"""Steady: what hosts notice of a fault. A probe of 1,000 packets a second, a TCP stream on which
only the far server sends, one on which only the client sends, and a DNS question a second.

All sockets are this process's, made in the namespaces of the hosts, so one clock times both ends.
"""

import contextlib, ctypes, os, socket, struct, threading, time

PROBE, PUSHED, PUSHING = 5201, 5202, 5203
PACE = 0.001
MESSAGE = 0.01
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(netns):
    """This thread is in the namespace; sockets stay in the one that they were made in."""
    with open("/proc/self/ns/net") as before, open(f"/run/netns/{netns}") as there:
        enter(there)
        try:
            yield
        finally:
            enter(before)


def enter(namespace):
    if _libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Gaps:
    """The longest time between two arrivals since the last reset."""

    def __init__(self):
        self.last, self.longest, self.end = time.monotonic(), 0.0, None

    def arrived(self):
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now

    def reset(self):
        self.longest = 0.0

    def silence(self):
        return time.monotonic() - self.last


class Numbers:
    """Which of the packets that were sent since the last reset have come back."""

    def __init__(self):
        self.sent, self.first, self.back = 0, 1, set()

    def next(self):
        self.sent += 1
        return self.sent

    def reset(self):
        self.first, self.back = self.sent + 1, set()

    def lost(self):
        """Those before the last that has come back: later ones may be on their way."""
        back = {number for number in self.back.copy() if number >= self.first}
        return max(back) - self.first + 1 - len(back) if back else 0


class Steady:
    """The loads between `near` and `far`, namespaces; `target` is an address of `far`."""

    def __init__(self, near, far, target, resolver=None, question=None):
        self.flows = {"probe": Gaps(), "pushed": Gaps(), "pushing": Gaps()}
        self.asked, self.unanswered = 0, 0
        self.probes = Numbers()
        self.stopped = threading.Event()
        self.sockets = []
        with inside(far):
            echo = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            echo.bind((target, PROBE))
            ports = [PUSHED, PUSHING]
            servers = [self.keep(socket.create_server((target, port))) for port in ports]
        with inside(near):
            probe = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            clients = [
                self.keep(socket.create_connection((target, port), 5)) for port in ports
            ]
            asker = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        ends = [self.keep(server.accept()[0]) for server in servers]
        self.threads = [
            threading.Thread(target=self.guarded, args=line, daemon=True)
            for line in [
                (self.echo, echo),
                (self.send_probes, probe, (target, PROBE)),
                (self.receive_probes, probe),
                (self.send, ends[0]),
                (self.receive, clients[0], "pushed"),
                (self.send, clients[1]),
                (self.receive, ends[1], "pushing"),
                *([(self.ask, asker, resolver, question)] if resolver else []),
            ]
        ]
        for thread in self.threads:
            thread.start()

    def keep(self, made):
        made.settimeout(0.2)
        self.sockets.append(made)
        return made

    def guarded(self, work, *arguments):
        """Until the end; a connection that breaks ends its flow."""
        while not self.stopped.is_set():
            try:
                work(*arguments)
                return
            except TimeoutError:
                continue
            except OSError as error:
                if arguments[-1] in self.flows:
                    self.flows[arguments[-1]].end = str(error)
                if work in [self.send, self.receive]:
                    return
                time.sleep(PACE)

    def echo(self, sock):
        while not self.stopped.is_set():
            packet, sender = sock.recvfrom(64)
            sock.sendto(packet, sender)

    def send_probes(self, sock, to):
        due = time.monotonic()
        while not self.stopped.is_set():
            # Counted before: what the host cannot send is lost.
            sock.sendto(struct.pack(">Q", self.probes.next()), to)
            due = max(due + PACE, time.monotonic() - 0.05)
            time.sleep(max(0, due - time.monotonic()))

    def receive_probes(self, sock):
        while not self.stopped.is_set():
            packet, _ = sock.recvfrom(64)
            self.probes.back.add(struct.unpack(">Q", packet)[0])
            self.flows["probe"].arrived()

    def send(self, stream):
        while not self.stopped.is_set():
            stream.sendall(b"message\n")
            time.sleep(MESSAGE)

    def receive(self, stream, flow):
        while not self.stopped.is_set():
            if not stream.recv(4096):
                raise ConnectionError("closed")
            self.flows[flow].arrived()

    def ask(self, sock, resolver, question):
        while not self.stopped.is_set():
            self.asked += 1
            # Header of a query with one question; names of at most 63 bytes a label.
            name = b"".join(bytes([len(part)]) + part.encode() for part in question.split("."))
            header = struct.pack(">6H", self.asked & 0xFFFF, 0x100, 1, 0, 0, 0)
            sock.sendto(header + name + b"\0\0\1\0\1", (resolver, 53))
            begin = time.monotonic()
            try:
                answered = struct.unpack(">4H", sock.recv(512)[:8])
                # The answer to a question that waited for the address of a dead gateway comes late.
                while answered[0] != self.asked & 0xFFFF:
                    answered = struct.unpack(">4H", sock.recv(512)[:8])
                good = answered[3] > 0
            except OSError:
                good = False
            self.unanswered += not good
            self.stopped.wait(max(0, begin + 1 - time.monotonic()))

    def reset(self):
        for gaps in self.flows.values():
            gaps.reset()
        self.probes.reset()
        self.asked = self.unanswered = 0

    def is_steady(self):
        """Everything has arrived for the last moment, or has ended for good."""
        return all(gaps.end or gaps.silence() < 0.1 for gaps in self.flows.values())

    def seen(self, over):
        """The longest silence of each flow in seconds, that of now included; what broke; lost
        probes; unanswered questions. `over`: whether everything arrived again."""
        longest = {flow: max(gaps.longest, gaps.silence()) for flow, gaps in self.flows.items()}
        return {
            **{flow: round(seconds, 4) for flow, seconds in longest.items()},
            "over": over,
            "broken": [flow for flow, gaps in self.flows.items() if gaps.end],
            "lost": self.probes.lost(),
            "questions": self.asked,
            "unanswered": self.unanswered,
        }

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(5)
        for each in self.sockets:
            each.close()
