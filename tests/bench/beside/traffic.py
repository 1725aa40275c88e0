"""What is sent between the nodes, and what of it is measured: TCP and UDP by iperf3, ping."""

import contextlib, json, re, statistics, subprocess, time

from .laboratory import NODE, NODE6, Failed, until

PORT = 5201
# Offered datagrams in a second, in thousands: the steps of the ladder.
LADDER = [20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 260, 280, 300]
LOSS = 1.0
PAYLOAD = 64
# How often a ping is sent, in seconds.
PING = 0.005


class Traffic:
    """From node-a to `target`: node-b itself, or what stands for it."""

    def __init__(self, lab, target=NODE["b"], target6=NODE6["b"]):
        self.lab, self.target, self.target6 = lab, target, target6

    @contextlib.contextmanager
    def server(self):
        """An iperf3 server for one test: one that serves several closes its door between two, at
        times on a client."""
        process = self.lab.start("node-b", "iperf3", "-s", "-1", "-J")
        try:
            listens = lambda: self.lab.run("node-b", "ss", "-Hltn", f"sport = :{PORT}") != ""
            until("iperf3 server", 5, listens, pause=0.02)
            yield
        finally:
            process.kill()
            process.wait()
            self.lab.started.remove(process)

    def iperf3(self, seconds, *options, target=None):
        """The totals at the end."""
        return self.iperf3_report(seconds, *options, target=target)["end"]

    def iperf3_report(self, seconds, *options, target=None):
        line = [
            "iperf3", "-J", "-c", target or self.target, "-t", str(seconds), *options,
            "--connect-timeout", "3000",
        ]
        with self.server():
            try:
                report = json.loads(self.lab.run("node-a", *line, timeout=seconds + 20))
            except ValueError as why:
                raise Failed(f"iperf3 {' '.join(options)}: {why}")
        if "error" in report:
            raise Failed(f"iperf3 {' '.join(options)}: {report['error']}")
        return report

    def tcp(self, seconds, streams=1, back=False, algorithm="bbr", v6=False):
        """Gbit/s that arrived."""
        options = ["-P", str(streams), "-C", algorithm] + ["-R"] * back
        end = self.iperf3(seconds, *options, target=self.target6 if v6 else self.target)
        return end["sum_received"]["bits_per_second"] / 1e9

    def steady_tcp(self, warm, seconds, algorithm):
        """Mbit/s of one stream as the receiver saw it, second by second, after the first `warm`.
        The sender's totals would count what a queue still holds at the end."""
        report = self.iperf3_report(warm + seconds, "-C", algorithm, "--get-server-output")
        rates = [
            each["sum"]["bits_per_second"] for each in report["server_output_json"]["intervals"]
        ]
        return statistics.mean(rates[warm : warm + seconds]) / 1e6

    def udp(self, kpps, seconds=1):
        """Thousands of datagrams sent in a second, and the share that was lost in percent."""
        bits = kpps * 1000 * PAYLOAD * 8
        end = self.iperf3(seconds, "-u", "-l", str(PAYLOAD), "-b", str(bits), "-w", "4M")["sum"]
        return end["packets"] / end["seconds"] / 1000, end["lost_percent"]

    def ladder(self, steps):
        """The highest rate that arrives with at most one percent lost, by halving, in thousands a
        second. A step that fails is tried once more: a moment's disturbance ends no search."""
        low, high, best = 0, len(LADDER), 0.0
        for _ in range(steps):
            if low >= high:
                break
            middle = (low + high) // 2
            sent, lost = self.udp(LADDER[middle])
            if lost > LOSS:
                sent, lost = self.udp(LADDER[middle])
            if lost <= LOSS:
                best = max(best, sent)
                low = middle + 1
                # The sender's own limit: higher steps offer no more.
                if sent < LADDER[middle] * 0.9:
                    break
            else:
                high = middle
        return best

    def ping(self, seconds):
        """Round trips in milliseconds: the median and the 99th percentile."""
        return quantiles(self.start_ping(seconds).communicate(timeout=seconds + 10)[0])

    def start_ping(self, seconds):
        line = [
            "ping", "-n", "-i", str(PING), "-c", str(int(seconds / PING)), "-W", "1", self.target,
        ]
        return self.lab.start("node-a", *line, stdout=subprocess.PIPE, text=True)

    def ping_under_load(self, seconds):
        """The same while one TCP stream takes all it can; its first half second does not count."""
        line = [
            "iperf3", "-c", self.target, "-t", str(seconds + 1), "-C", "bbr", "--connect-timeout",
            "3000",
        ]
        with self.server():
            load = self.lab.start("node-a", *line)
            time.sleep(0.5)
            measured = self.ping(seconds)
            if load.poll() not in (None, 0):
                raise Failed("the stream that was to load the tunnel has ended")
            load.wait(timeout=seconds + 10)
        return measured


def quantiles(printed):
    trips = sorted(float(trip) for trip in re.findall(r"time=([\d.]+) ms", printed))
    if len(trips) < 50:
        raise Failed(f"only {len(trips)} pings came back")
    return statistics.median(trips), trips[int(len(trips) * 0.99)]
