"""What the manifests must say: rights, places and names that no schema knows."""

EVERYTHING = "everything"
TWO = "two-gateways"
WITH_NODES = (EVERYTHING, "laboratory")

# In which namespaces a gateway lists and watches Services; nothing else is asked of a cluster.
NAMES = {EVERYTHING: ["fabric", "chaincode"], "names": ["ringway"]}
RIGHTS = [
    {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
]
OF_NODES = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]


def judge(rendered: dict[str, list[dict]]) -> None:
    for name, manifests in rendered.items():
        for pod in pods(manifests):
            judge_pod(name, pod)
        nodes = of_kind(manifests, "DaemonSet")
        assert bool(nodes) == (name in WITH_NODES), name
        for node in nodes:
            judge_node(name, node["spec"])
        names = [identity(manifest) for manifest in manifests]
        assert len(names) == len(set(names)), f"{name}: a name occurs twice"
        judge_cluster_rights(name, manifests)
        assert not any(manifest["kind"] == "Secret" for manifest in manifests), name

    judge_siblings(rendered[TWO])
    judge_everything(rendered[EVERYTHING])


def identity(manifest: dict) -> tuple:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace"), metadata["name"]


def judge_readme(values: dict, readme: str) -> None:
    """Each value has a row."""
    for name in leaves(values):
        assert f"| `{name}` |" in readme, f"README.md does not say what {name} is for"


def leaves(values: dict, above: str = "") -> list[str]:
    names = []
    for key, value in values.items():
        name = f"{above}{key}"
        # Labels and files have keys of their own; so has what is handed on to Kubernetes.
        has_keys = isinstance(value, dict) and value and key not in ("nodeSelector", "resources")
        names += leaves(value, f"{name}.") if has_keys else [name]
    return names


def of_kind(manifests: list[dict], kind: str) -> list[dict]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: list[dict]) -> list[dict]:
    """The specifications of all pods, of the test's too."""
    sets = [manifest["spec"]["template"]["spec"] for manifest in of_kind(manifests, "StatefulSet")]
    return sets + [manifest["spec"] for manifest in of_kind(manifests, "Pod")]


def judge_pod(name: str, pod: dict) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["gateway"]["projected"]["defaultMode"] == 0o440, name
    judge_rights(name, pod)

    added = pod["containers"][0]["securityContext"]["capabilities"]["add"]
    expected = ["NET_ADMIN", "NET_BIND_SERVICE"]
    assert added == expected + ["NET_RAW"] * (name == EVERYTHING), (name, added)


def judge_node(name: str, spec: dict) -> None:
    """An attached node: on none of the gateways' nodes, with its files from the node itself."""
    pod = spec["template"]["spec"]
    judge_rights(name, pod)
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items(), name
    assert labels["app.kubernetes.io/component"] == "attach", name
    (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway", name

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["files"]["hostPath"]["type"] == "Directory", name
    # Not those of a gateway that was on the node before.
    for volume in ("state", "run"):
        assert volumes[volume]["hostPath"]["path"].endswith("-attach"), name
    container = pod["containers"][0]
    assert container["args"][:3] == ["attach", "run", "--watch"], name
    (files,) = [mount for mount in container["volumeMounts"] if mount["name"] == "files"]
    assert files["readOnly"], name
    added = container["securityContext"]["capabilities"]["add"]
    assert added == ["NET_ADMIN"] + ["NET_RAW"] * (name == EVERYTHING), (name, added)


def judge_rights(name: str, pod: dict) -> None:
    assert pod["hostNetwork"] and not pod["automountServiceAccountToken"], name
    security = pod["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] > 0, name
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
    # The key's group is the process's own.
    assert security["fsGroup"] == security["runAsGroup"], name

    for container in pod["containers"] + pod["initContainers"]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"], (name, container["name"])
        if container["name"] == "host":
            continue
        assert rights["allowPrivilegeEscalation"] is False, (name, container["name"])
        assert rights["capabilities"]["drop"] == ["ALL"], (name, container["name"])
        assert not rights.get("privileged"), (name, container["name"])
        # Mounts of single files are not replaced when the ConfigMap is.
        assert not any("subPath" in mount for mount in container["volumeMounts"]), name


def judge_cluster_rights(name: str, manifests: list[dict]) -> None:
    """Roles, who has them, and whose container has a token: nobody without names of Services."""
    namespaces = NAMES.get(name, [])
    roles, bindings = of_kind(manifests, "Role"), of_kind(manifests, "RoleBinding")
    assert [role["metadata"]["namespace"] for role in roles] == namespaces, name
    assert [binding["metadata"]["namespace"] for binding in bindings] == namespaces, name
    assert all(role["rules"] == RIGHTS for role in roles), name

    cluster = of_kind(manifests, "ClusterRole")
    assert [role["rules"] for role in cluster] == [OF_NODES] * (name == EVERYTHING), name
    of_cluster = of_kind(manifests, "ClusterRoleBinding")
    assert len(of_cluster) == len(cluster), name
    (account,) = of_kind(manifests, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False, name
    for binding in bindings + of_cluster:
        (subject,) = binding["subjects"]
        assert subject["name"] == account["metadata"]["name"], name
        assert subject["namespace"] == account["metadata"]["namespace"], name
        role = binding["roleRef"]
        assert role["name"] == binding["metadata"]["name"], name
        assert role["kind"] + "Binding" == binding["kind"], name

    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", manifest.get("spec", {}))
        is_gateway = manifest["kind"] == "StatefulSet"
        for container in pod.get("containers", []) + pod.get("initContainers", []):
            mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
            has_token = is_gateway and bool(namespaces) and container["name"] == "ringway"
            assert ("api" in mounts) == has_token, (name, container["name"])


def judge_siblings(manifests: list[dict]) -> None:
    sets = of_kind(manifests, "StatefulSet")
    assert [one["metadata"]["name"] for one in sets] == ["acme-ringway-gw", "acme-ringway-gw2"]
    secrets = []

    for one in sets:
        spec = one["spec"]
        assert spec["replicas"] == 1 and spec["updateStrategy"]["type"] == "OnDelete"
        pod = spec["template"]["spec"]
        assert pod["nodeSelector"]["ringway.io/gateway"] == "true"
        # Each has its own key, and not the other's.
        sources = next(v for v in pod["volumes"] if v["name"] == "gateway")["projected"]["sources"]
        secrets += [source["secret"]["name"] for source in sources if "secret" in source]

        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        anti = pod["affinity"]["podAntiAffinity"]
        by_node = anti["requiredDuringSchedulingIgnoredDuringExecution"][0]
        by_zone = anti["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
        assert by_node["topologyKey"] == "kubernetes.io/hostname"
        assert by_zone["topologyKey"] == "topology.kubernetes.io/zone"
        for term in (by_node, by_zone):
            assert term["labelSelector"]["matchLabels"].items() <= labels.items()

        container = pod["containers"][0]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert "--watch" in container["args"]
        assert container["lifecycle"]["preStop"]["exec"]["command"][1] == "drain"
        assert pod["terminationGracePeriodSeconds"] > 30

    assert secrets == ["acme-gw", "acme-gw2"]
    (budget,) = of_kind(manifests, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    for one in sets:
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    tests = of_kind(manifests, "Pod")
    commands = [test["spec"]["containers"][0]["command"][-1] for test in tests]
    assert len(commands) == 2 and all("ringway doctor" in command for command in commands)
    # A test's pod is no gateway to the budget, the anti-affinity or Prometheus.
    components = [test["metadata"]["labels"]["app.kubernetes.io/component"] for test in tests]
    assert components == ["test", "test"]


def judge_everything(manifests: list[dict]) -> None:
    (one,) = of_kind(manifests, "StatefulSet")
    pod = one["spec"]["template"]["spec"]
    container, host = pod["containers"][0], pod["initContainers"][0]
    assert one["metadata"]["name"] == "east-gw6"
    assert container["image"].startswith("registry.example/ringway@sha256:")
    assert container["resources"]["limits"] == {"memory": "1Gi", "devices.example/tun": "1"}
    assert not any(mount["name"] == "tun" for mount in container["volumeMounts"])
    # Without settings of the node, nothing is privileged.
    assert "privileged" not in host["securityContext"]
    assert one["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "state"
    assert not of_kind(manifests, "PodDisruptionBudget")
    assert pod["securityContext"]["runAsUser"] == 1000

    (monitor,) = of_kind(manifests, "ServiceMonitor")
    (service,) = of_kind(manifests, "Service")
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]

    names = [policy["metadata"]["name"] for policy in of_kind(manifests, "NetworkPolicy")]
    assert names == ["east", "east-peers"]
    (coredns,) = [one for one in manifests if one["metadata"]["name"] == "coredns-custom"]
    block = coredns["data"]["ringway.server"]
    assert block.startswith("consortium.example:53 1.10.in-addr.arpa:53 2.10.in-addr.arpa:53 {\n")
    assert "    forward . fd00:1::2 {\n" in block
