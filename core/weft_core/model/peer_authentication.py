"""PeerAuthentication (security.istio.io): whether a workload accepts, or demands, mutual TLS."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from weft_core.model.base import Model, PolicySelector
from weft_core.model.frozen import FrozenDict
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import PortNumber, refuse


class MutualTLSMode(StrEnum):
    """What a workload accepts. UNSET inherits."""

    UNSET = "UNSET"
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class MutualTLS(Model):
    """Mutual TLS of one port or of a whole workload."""

    mode: MutualTLSMode = Field(MutualTLSMode.UNSET, description="STRICT, PERMISSIVE, DISABLE, or UNSET: inherit.")


def _port_key(value: object) -> object:
    # YAML reads a bare 8080 as a number, the API server's JSON has text: both are the same key.
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit():
            refuse(f"`{value}` is not a port number", "write the container's port number")
        return int(value)
    return value


PortKey = Annotated[PortNumber, BeforeValidator(_port_key)]
NO_MTLS_PORTS: FrozenDict[int, MutualTLS] = FrozenDict()


class PeerAuthentication(Model):
    """Mutual TLS for a workload, a namespace, or (in the root namespace) the mesh."""

    selector: PolicySelector | None = Field(None, description="Workloads; all of the namespace without it.")
    mtls: MutualTLS | None = Field(None, description="For all ports.")
    port_level_mtls: Annotated[Mapping[PortKey, MutualTLS], AfterValidator(FrozenDict)] = Field(
        NO_MTLS_PORTS, min_length=1, description="For single ports, by the container's (not the Service's) port number."
    )

    def check(self) -> Iterator[Mistake]:
        """Port levels belong to workloads, so they need a selector."""
        if self.port_level_mtls and (self.selector is None or not self.selector.match_labels):
            yield Mistake(
                path=("portLevelMtls",),
                message="portLevelMtls needs a selector: ports are those of particular workloads",
                fix="add selector.matchLabels",
            )
