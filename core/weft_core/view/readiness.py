"""The readiness listener: tells the kubelet that the proxy has its configuration.

It is sent last, after everything else was acknowledged, so that it does not even listen before. Once Envoy is told to
fail its health checks (a pod that is going away) it answers 503.
"""

from weft_core.ir.http import HttpConnectionManager, NoRoute, Readiness, Router
from weft_core.ir.listener import Address, Direction, FilterChain, Listener
from weft_core.names import READINESS_PORT
from weft_core.proxy import LocalPorts

READINESS_PATH = "/healthz/ready"
READINESS_LISTENER = "readiness"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - the kubelet asks from outside the pod
LOOPBACK = "127.0.0.1"


def readiness_listener(port: int = READINESS_PORT, host: str = ANY_ADDRESS) -> Listener:
    """200 on `/healthz/ready`, 404 on everything else."""
    manager = HttpConnectionManager(
        stat_prefix=READINESS_LISTENER,
        route=NoRoute(),
        filters=(Readiness(READINESS_PATH), Router()),
        upgrades=(),
    )
    return Listener(
        name=READINESS_LISTENER,
        addresses=(Address(host, port),),
        direction=Direction.UNSPECIFIED,
        filter_chains=(FilterChain(name=READINESS_LISTENER, filters=(manager,)),),
    )


def readiness_listener_of(local: LocalPorts | None) -> Listener:
    """The listener of a pod, or of a proxy that shares one machine with others and has a port of its own."""
    return readiness_listener(local.readiness, LOOPBACK) if local else readiness_listener()
