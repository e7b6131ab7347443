"""What `weft serve --kubernetes` is told on its command line; everything else it reads from its ConfigMap."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from weft_core.errors import EnvironmentFault
from weft_core.injection import DEFAULT_REVISION
from weft_core.names import DEFAULT_DOMAIN


class Role(StrEnum):
    """What a replica does. All of them read the cluster."""

    OPERATOR = "operator"
    """Writes status and Events, validates the mesh's resources."""
    XDS = "xds"
    """Serves proxies."""
    INJECTOR = "injector"
    """Injects sidecars, issues certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """One replica of a control plane in a cluster. Addresses are HOST:PORT.

    `pod_name` and `pod_ip` tell this replica from the others.
    """

    kubeconfig: Path | None = None
    namespace: str
    revision: str = DEFAULT_REVISION
    roles: frozenset[Role] = frozenset(Role)
    xds: str
    http: str
    webhooks: str
    cluster_domain: str = DEFAULT_DOMAIN
    credential_namespaces: tuple[str, ...] = ("*",)
    pod_name: str
    pod_ip: str = ""

    @property
    def name(self) -> str:
        """`weft`, or `weft-REVISION`: the name of all objects of this control plane."""
        return "weft" if self.revision == DEFAULT_REVISION else f"weft-{self.revision}"


def parse_roles(text: str) -> frozenset[Role]:
    """`operator,xds`. Raises EnvironmentFault."""
    try:
        roles = frozenset(Role(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise EnvironmentFault(f"--roles {text}: {error}; write some of {', '.join(Role)}") from None
    if not roles:
        raise EnvironmentFault(f"--roles is empty: write some of {', '.join(Role)}")
    return roles
