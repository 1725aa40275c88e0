"""Namespace: the network namespace in which the servers run and are asked."""

import os

from beside.laboratory import NAME, SETTINGS, remove, remove_leftovers, run

from .zone import SERVER


class Namespace:
    """Has loopback and, on the same interface, the private address that a gateway answers on."""

    name = f"{NAME}-{os.getpid()}-dns"

    def __enter__(self):
        remove_leftovers()
        run("ip", "netns", "add", self.name)
        run(*self.command("sh", "-ec", SETTINGS))
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        run("ip", "-n", self.name, "address", "add", f"{SERVER}/8", "dev", "lo")
        return self

    def __exit__(self, *_):
        remove(self.name)

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]
