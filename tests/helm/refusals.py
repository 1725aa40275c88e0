"""Values that must be refused, each with a word of the reason."""

import copy
import pathlib

import helm_python as helm

# Asks for names of Services, for which there are no rights.
NAMED = """
gateway = "gw"
[http]
listen = "10.1.0.2:9460"
[policy]
egress = "named"
[dns.kubernetes]
"""

# Where in the values of two gateways, what is put there, and what the message must name. `None`
# removes it.
WRONG = [
    ("gateways", [], "minItems"),
    ("gateways", None, "gateways"),
    ("gateways.0.secret", None, "secret"),
    ("gateways.0.secret", "", "secret"),
    ("gateways.0.name", "GW", "name"),
    ("gateways.0.name", "gw2", "two are called gw2"),
    ("gateways.0.name", "other", "another gateway's"),
    ("gateways.0.address", "node-a", "address"),
    ("gateways.0.address", "10.1.0.3", "two have the address"),
    ("gateways.0.address", "10.1.0.9", "[http] listen"),
    ("gateways.0.nodeSelector", {"zone": 1}, "nodeSelector"),
    ("gateways.0.replicas", 2, "replicas"),
    ("gateways.0.files", {}, "needs gateway.toml"),
    ("gateways.0.files.gateway.key", "-----BEGIN PRIVATE KEY-----", "gateway.key"),
    ("gateways.0.files.gateway.toml", 'gateway = "gw"\nlisten = "10.1.0.2:9460"\n', "egress"),
    ("organization.files", {}, "needs the record"),
    ("organization.files.ca.key", "x", "ca.key"),
    ("members.files.beta.toml", "x", "beta.toml"),
    ("members.files.beta.member.toml", "", "beta.member.toml"),
    ("image.tag", "a b", "tag"),
    ("image.digest", "sha256:short", "digest"),
    ("image.pullPolicy", "Sometimes", "pullPolicy"),
    ("user.uid", 0, "uid"),
    ("netRaw", "yes", "netRaw"),
    ("tunnelPort", 70000, "tunnelPort"),
    ("tunnelPort", "4600", "tunnelPort"),
    ("http.port", 0, "port"),
    ("http.port", 9461, "[http] listen"),
    ("sysctls", ["kernel.core_pattern=1"], "sysctls"),
    ("sysctls", ["net.ipv4.ip_forward=1; reboot"], "sysctls"),
    ("sysctls", [1], "sysctls"),
    ("state.type", "emptyDir", "type"),
    ("state.size", "lots", "size"),
    ("state.hostPath", "relative", "hostPath"),
    ("tun.resource", "tun", "resource"),
    ("zones", "never", "zones"),
    ("updateStrategy", "Recreate", "updateStrategy"),
    ("drainSeconds", 0, "drainSeconds"),
    ("drainSeconds", 60, "must be more than drainSeconds"),
    ("terminationGracePeriodSeconds", 5, "terminationGracePeriodSeconds"),
    ("networkPolicy.dnsFrom", ["everybody"], "dnsFrom"),
    ("networkPolicy.workloads", [{"name": "peers"}], "workloads"),
    (
        "networkPolicy.workloads",
        [{"name": "all", "podSelector": {}, "from": ["10.2.0.0/16"], "ports": [7051]}],
        "podSelector",
    ),
    ("attach.enabled", "yes", "enabled"),
    ("attach.hostPath", "", "hostPath"),
    ("attach.hostPath", "etc/ringway", "hostPath"),
    ("attach.nodeSelector", {"zone": 1}, "nodeSelector"),
    ("attach.sysctls", ["kernel.core_pattern=1"], "sysctls"),
    ("attach.secret", "acme-node", "secret"),
    ("serviceMonitor.interval", "often", "interval"),
    ("kubernetesNames", {"enabled": True}, "[dns.kubernetes]"),
    ("kubernetesNames.namespaces", ["*"], "namespaces"),
    ("kubernetesNames.namespaces", ["fabric", "fabric"], "namespaces"),
    ("kubernetesNames.nodes", "yes", "nodes"),
    ("kubernetesNames.verbs", ["get"], "verbs"),
    ("gateways.0.files.gateway.toml", NAMED, "kubernetesNames.enabled"),
    ("coredns", {"enabled": True, "domain": ""}, "domain"),
    ("coredns.reverse", ["consortium.example"], "reverse"),
    ("replicaCount", 2, "replicaCount"),
]


def judge(chart: helm.Chart, parse, directory: pathlib.Path) -> int:
    right = parse((directory / "ci/two-gateways.yaml").read_text())
    for path, value, reason in WRONG:
        wrong = copy.deepcopy(right)
        put(wrong, path, value)
        try:
            chart.render(wrong, name="acme", namespace="ringway")
        except helm.HelmError as error:
            assert reason in str(error), f"{path} = {value!r} is refused by {error}"
        else:
            raise AssertionError(f"{path} = {value!r} is not refused")
    return len(WRONG)


def put(values: dict, path: str, value: object) -> None:
    # The names of files have dots, too.
    head, files, name = path.partition(".files.")
    keys = [*head.split("."), *(["files", name] if files else [])]

    for key in keys[:-1]:
        values = values[int(key)] if isinstance(values, list) else values.setdefault(key, {})
    if value is None:
        del values[keys[-1]]
    else:
        values[keys[-1]] = value
