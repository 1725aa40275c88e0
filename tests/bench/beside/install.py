"""Finds a peer's program, or installs it from its package: Debian's, or crates.io by cargo.

Crates go to `target/peers`, out of the way of everything else; Debian's packages start no services.
"""

import os, pathlib, re, shutil, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


class Missing(Exception):
    """The peer cannot be had here; says why."""


def debian(program, package, install):
    """Where `program` is."""
    found, why = which(program), "left out by --no-install"
    if not found and install:
        say(f"  installing {package}")
        command = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {package}"
        why = without_services(["sh", "-c", command])
        found = which(program)
    if not found:
        raise Missing(f"Debian's package {package} is not installed: {why}")
    return found


def crate(name, install):
    """Where the program of the crate `name` is, which is called like the crate."""
    program, why = TARGET / "peers" / "bin" / name, "left out by --no-install"
    if not program.exists() and install:
        say(f"  building {name} (some minutes)")
        environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
        why = attempt(
            ["cargo", "install", "--quiet", "--locked", "--root", TARGET / "peers", name],
            environment,
        )
    if not program.exists():
        raise Missing(f"the crate {name} is not installed: {why}")
    return program


def version(name):
    """Of an installed crate, by cargo's own list."""
    found = re.search(rf'^"{name} (\S+) ', (TARGET / "peers" / ".crates.toml").read_text(), re.M)
    return found[1] if found else ""


def own(package, name):
    """Our own program `name`, built for release; or another build of it, named by the environment:
    BENCH_RINGWAY."""
    other = os.environ.get("BENCH_" + name.upper().replace("-", "_"))
    if other:
        return pathlib.Path(other).resolve(strict=True)
    subprocess.run(
        ["cargo", "build", "--locked", "--release", "--quiet", "--package", package, "--bin", name],
        cwd=ROOT,
        check=True,
    )
    return TARGET / "release" / name


def without_services(command):
    """Installs packages without starting their services."""
    made = not POLICY.exists()
    if made:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        return attempt(command, {**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if made:
            POLICY.unlink()


def attempt(command, environment):
    """Runs it; what it said last, for the case that it failed."""
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return (done.stdout.strip().splitlines() or ["it said nothing"])[-1]


def which(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def say(line):
    print(line, file=sys.stderr, flush=True)
