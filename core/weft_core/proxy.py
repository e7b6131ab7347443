"""Who asks: a proxy's name in the mesh, and what one machine's proxies need in place of traffic capture."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ProxyKind(StrEnum):
    """What a proxy is; the values are the first part of Istio's node ids."""

    SIDECAR = "sidecar"
    GATEWAY = "router"


@dataclass(frozen=True, slots=True, order=True)
class ProxyId:
    """A proxy, named by its pod."""

    kind: ProxyKind
    namespace: str
    name: str

    def __str__(self) -> str:
        """`POD.NAMESPACE`, as people write it on the command line."""
        return f"{self.name}.{self.namespace}"

    @classmethod
    def from_node_id(cls, node_id: str) -> Self:
        """Read Istio's node id, `sidecar~IP~POD.NAMESPACE~DOMAIN`. Raises ValueError with what is wrong."""
        parts = node_id.split("~")
        if len(parts) != 4:
            raise ValueError(f"node id {node_id!r} is not of the form KIND~IP~POD.NAMESPACE~DOMAIN")
        name, dot, namespace = parts[2].rpartition(".")
        if not (dot and name and namespace):
            raise ValueError(f"node id {node_id!r}: {parts[2]!r} is not of the form POD.NAMESPACE")
        return cls(ProxyKind(parts[0]), namespace, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPorts:
    """Loopback ports of a proxy that runs beside others on one machine, where nothing captures its traffic.

    Every port that another process must reach is its own; addresses are 127.0.0.1 throughout.
    """

    inbound: tuple[tuple[int, int], ...] = ()
    """(target port of the workload, port where its sidecar takes that traffic), by target port."""
    application: tuple[tuple[int, int], ...] = ()
    """(target port, port where the process really listens), by target port."""
    proxy: int = 0
    """Where the sidecar listens as the application's HTTP_PROXY; 0 for a gateway."""
    readiness: int = 0

    def inbound_port(self, target: int) -> int | None:
        """Where the sidecar takes traffic for this target port."""
        return dict(self.inbound).get(target)

    def application_port(self, target: int) -> int:
        """Where the process listens for this target port: the target port itself unless said otherwise."""
        return dict(self.application).get(target, target)
