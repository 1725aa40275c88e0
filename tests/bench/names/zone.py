"""The zone that every server has, and the questions about it."""

import random

APEX = "org1.consortium.example."
SERVER = "10.0.0.1"
QUESTIONS = 20_000


def text(records):
    lines = [
        f"$ORIGIN {APEX}", "$TTL 5", "@ SOA gw hostmaster 1 60 10 3600 5", "@ NS gw",
        f"gw A {SERVER}",
    ]
    lines += [f"peer{i} A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(records)]
    return "\n".join(lines) + "\n"


def questions(records):
    """Lines for dnsperf, by kind. Mixed: one hit in five, as a cluster with ndots:5 asks."""
    draw = random.Random(1)
    hit = lambda: f"peer{draw.randrange(records)}.{APEX} A\n"
    miss = lambda: f"peer{draw.randrange(records)}.default.svc.{APEX} A\n"
    mixed = lambda: hit() if draw.randrange(5) == 0 else miss()
    return {
        kind: "".join(make() for _ in range(QUESTIONS))
        for kind, make in [("hit", hit), ("NXDOMAIN", miss), ("mixed", mixed)]
    }
