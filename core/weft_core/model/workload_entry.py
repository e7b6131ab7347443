"""WorkloadEntry (networking.istio.io): one workload outside of Kubernetes, or one endpoint of a ServiceEntry."""

from collections.abc import Iterator

from pydantic import Field

from weft_core.model.base import Model
from weft_core.model.frozen import EMPTY, FrozenDict
from weft_core.model.mistake import Mistake
from weft_core.model.port import port_name_mistakes
from weft_core.model.scalars import FrozenMap, Labels, NonEmpty, PortNumber, UInt, is_host, is_ip
from weft_core.problems import Code, Severity

NO_PORTS: FrozenDict[str, int] = FrozenDict()
UNIX = "unix://"
"""Beginning of an address that is a Unix socket's path."""


class WorkloadEntry(Model):
    """An address with ports, labels and an identity."""

    address: str = Field("", description="IP address, DNS name (for DNS resolution), or unix:///path.")
    ports: FrozenMap[NonEmpty, PortNumber] = Field(NO_PORTS, description="Port numbers by the service's port names.")
    labels: Labels = Field(EMPTY, description="Labels, for selectors and subsets.")
    network: str = Field("", description="Network that it is in; endpoints of another one are reached by its gateway.")
    locality: str = Field("", description="region/zone/subzone.")
    weight: UInt = Field(0, description="Share of the traffic relative to other endpoints; 0 counts as 1.")
    service_account: str = Field("", description="Service account of its identity, in the same namespace.")

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith(UNIX)

    def check(self) -> Iterator[Mistake]:
        """An address that exists as a form, or a network through whose gateway it is reached."""
        if self.network and self.address:
            yield Mistake(
                path=("network",),
                severity=Severity.WARNING,
                code=Code.UNSUPPORTED_FIELD,
                message="several networks are not supported: the address is called directly",
                fix="remove it, if proxies can reach the address",
            )
        for name in self.ports:
            yield from port_name_mistakes(name, ("ports", name))
        if not self.address:
            if not self.network:
                yield Mistake(path=("address",), message="there is no address", fix="add address, or network")
        elif self.is_unix:
            path = self.address.removeprefix(UNIX)
            if not path.startswith(("/", "@")) or path.endswith("/"):
                yield Mistake(
                    path=("address",),
                    message=f"`{path}` is no socket's absolute path",
                    fix="write unix:///path/to/socket",
                )
            if self.ports:
                yield Mistake(path=("ports",), message="a Unix socket has no ports", fix="remove ports")
        elif not is_ip(self.address) and not is_host(self.address, wildcard=False):
            yield Mistake(
                path=("address",),
                message=f"`{self.address}` is neither an IP address nor a host name",
                fix="write 10.0.0.1 or db.example.com",
            )
