"""`weft translate`: the Envoy configuration of one proxy, without a server."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from weft_cli.findings import EXIT_FINDINGS
from weft_cli.folder import FolderSource
from weft_core.errors import EnvironmentFault
from weft_core.ingest import replace_all
from weft_core.model import kubernetes as k8s
from weft_core.offline import is_gateway
from weft_core.problems import Severity, by_severity
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry, Settings
from weft_core.view.problems import all_problems
from weft_core.view.proxies import owner_name
from weft_xds.render import render

FORMS = ("yaml", "json")


def run_translate(paths: Sequence[Path], *, proxy: str, output: str = "yaml", mesh_config: Path | None = None) -> int:
    """Print the document; returns the exit code. Raises EnvironmentFault for what can't be read or is not there."""
    if output not in FORMS:
        raise EnvironmentFault(f"-o {output}: the document is printed as {' or '.join(FORMS)}")
    source = FolderSource(paths, mesh_config)
    loaded = source.read()
    registry = Registry(Settings(derive_endpoints=True))
    replace_all(registry, loaded.objects, mesh=loaded.mesh, guards=loaded.guards)
    for problem in by_severity((*loaded.problems, *source.locate(all_problems(registry)))):
        sys.stderr.write(f"{problem}\n")
    document = render(registry, find_proxy(registry, proxy))
    if output == "json":
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        yaml.dump(document, sys.stdout, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return EXIT_FINDINGS if any(p.severity is Severity.ERROR for p in loaded.problems) else 0


def find_proxy(registry: Registry, name: str) -> ProxyId:
    """The proxy that `POD[.NAMESPACE]` or `deploy/NAME[.NAMESPACE]` means. Raises EnvironmentFault with the others."""
    kind, slash, rest = name.partition("/")
    wanted, _, namespace = (rest if slash else name).partition(".")
    pods = [pod for key in registry.pods if (pod := registry.pods.peek(key)) is not None]
    for pod in pods:
        called = owner_name(pod) if slash and kind in ("deploy", "deployment") else pod.name
        if (called, pod.namespace) == (wanted, namespace or "default"):
            return ProxyId(ProxyKind.GATEWAY if is_gateway(pod) else ProxyKind.SIDECAR, pod.namespace, pod.name)
    raise EnvironmentFault(f"--proxy {name}: no such pod; {_known(pods)}")


def _known(pods: Sequence[k8s.Pod]) -> str:
    names = sorted(f"{pod.name}.{pod.namespace}" for pod in pods)
    return f"there are {', '.join(names)}" if names else "the files describe no Pod and no Deployment"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """The fast dumper without anchors: the same text in two places is written twice."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True
