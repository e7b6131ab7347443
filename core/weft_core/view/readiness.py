"""The readiness listener: tells the kubelet that the proxy has its configuration.

It is sent last, after everything else was acknowledged, so that it does not even listen before. Once Envoy is told to
fail its health checks (a pod that is going away) it answers 503.
"""

from weft_core.ir.http import HttpConnectionManager, NoRoute, Readiness, Router
from weft_core.ir.listener import Address, Direction, FilterChain, Listener
from weft_core.names import READINESS_PORT
from weft_core.proxy import LocalPorts
from weft_core.view.ip_families import LOOPBACK, IpFamilies

READINESS_PATH = "/healthz/ready"
READINESS_LISTENER = "readiness"


def readiness_listener(port: int = READINESS_PORT, hosts: tuple[str, ...] = IpFamilies.V4.anywhere) -> Listener:
    """200 on `/healthz/ready`, 404 on everything else."""
    manager = HttpConnectionManager(
        stat_prefix=READINESS_LISTENER,
        route=NoRoute(),
        filters=(Readiness(READINESS_PATH), Router()),
        upgrades=(),
    )
    return Listener(
        name=READINESS_LISTENER,
        addresses=tuple(Address(host, port) for host in hosts),
        direction=Direction.UNSPECIFIED,
        filter_chains=(FilterChain(name=READINESS_LISTENER, filters=(manager,)),),
    )


def readiness_listener_of(local: LocalPorts | None, families: IpFamilies = IpFamilies.V4) -> Listener:
    """The listener of a pod, or of a proxy that shares one machine with others and has a port of its own.

    The kubelet asks from outside the pod, at whichever of its addresses is the first.
    """
    return readiness_listener(local.readiness, (LOOPBACK,)) if local else readiness_listener(hosts=families.anywhere)
