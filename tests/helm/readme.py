"""The installation as the chart's README has it: its values and its `--set-file` options."""

import contextlib
import pathlib
import re
import tempfile

import helm_python as helm

OPTION = re.compile(r"--set-file '([^']+)'")


def follow(chart: helm.Chart, directory: pathlib.Path) -> None:
    text = (directory / "README.md").read_text()
    block = text.split("with `acme.yaml`:\n\n```yaml\n")[1].split("```")[0]
    values = helm.values_from_yaml(block)
    options = OPTION.findall(text)
    assert len(options) == 4, options

    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        for option in options:
            merge(values, helm.parse_set_file(written(option)))
    manifests = chart.render(values, name="acme", namespace="ringway")
    assert "ringway/templates/statefulsets.yaml" in manifests


def written(option: str) -> str:
    """The option, once its file is there, with what the README has the reader put into it."""
    path = pathlib.Path(option.partition("=")[2])
    path.parent.mkdir(parents=True, exist_ok=True)
    name, address = ("gw2", "10.1.0.3") if path.parts[0] == "gw2" else ("gw", "10.1.0.2")
    path.write_text(
        f'gateway = "{name}"\n[http]\nlisten = "{address}:9460"\n[policy]\negress = "named"\n'
    )
    return option


def merge(values: dict, more: dict) -> None:
    """As `helm` puts options over files: lists by their index."""
    for key, value in more.items():
        if isinstance(value, list):
            for place, one in enumerate(value):
                merge(values[key][place], one or {})
        elif isinstance(value, dict):
            merge(values.setdefault(key, {}), value)
        else:
            values[key] = value
