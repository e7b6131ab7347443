"""Endpoints: where the instances of a service are, and what decides which of them a client uses."""

from dataclasses import dataclass

from weft_core.ir.service import Labels


@dataclass(frozen=True, slots=True, order=True)
class Locality:
    """Region, zone and sub-zone; empty strings where unknown."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""

    @classmethod
    def parse(cls, text: str) -> "Locality":
        """Read `region/zone/subzone`; fewer parts leave the rest empty."""
        return cls(*text.split("/", 2))

    def __str__(self) -> str:
        """`region/zone/subzone` without trailing empty parts."""
        return "/".join((self.region, self.zone, self.sub_zone)).rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Instance:
    """One endpoint of one port of a service."""

    address: str
    """IP address, host name (DNS services) or `unix://` path."""
    port: int
    namespace: str = ""
    workload: str = ""
    """The workload's name, for telemetry: a Deployment's, or the pod's."""
    labels: Labels = ()
    locality: Locality = Locality()
    service_account: str = ""
    mutual_tls: bool = False
    """The endpoint has a sidecar and its PeerAuthentication does not disable mutual TLS."""
    weight: int = 1
    healthy: bool = True
    further: tuple[str, ...] = ()
    """The same pod's addresses of the other IP family, where its Service has both."""
