"""Questions by dnsperf: as many as a server answers, and at a fixed rate for their latency."""

import re, subprocess

RATE = 5_000


def throughput(server, file, seconds, transport="udp"):
    """Answers a second, and microseconds of the server's CPU for each."""
    clients = ["-m", "tcp", "-c", "10"] if transport == "tcp" else []
    before = server.cpu()
    out = dnsperf(server, file, seconds, ["-q", "100", *clients])
    done, took = int(number(out, "Queries completed")), number(out, r"Run time \(s\)")
    return {"qps": done / took, "cpu_us": (server.cpu() - before) / max(done, 1) * 1e6}


def latency(server, file, seconds):
    """Microseconds at RATE questions a second, as dnsperf takes the time of each, and of the
    server's CPU for each."""
    before = server.cpu()
    out = dnsperf(server, file, seconds, ["-q", "1000", "-Q", str(RATE), "-v"])
    each = sorted(float(took) * 1e6 for took in re.findall(r"^> \S+ \S+ \S+ (\d\.\d+)$", out, re.M))
    lost = number(out, "Queries lost")
    at = lambda share: each[min(len(each) - 1, int(share * len(each)))]
    cpu = (server.cpu() - before) / max(len(each), 1) * 1e6
    return {"p50_us": at(0.5), "p99_us": at(0.99), "lost": lost, "cpu_us": cpu}


def dnsperf(server, file, seconds, more):
    command = server.namespace.command(
        "dnsperf", "-s", server.address, "-p", server.port, "-d", file, "-l", seconds, *more
    )
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def number(text, label):
    return float(re.search(rf"{label}:\s+([\d.]+)", text)[1])
