"""The resource types that Weft serves, and the order in which they are pushed.

The order is the one that the xDS protocol asks for, make before break: what is referred to comes before what
refers to it (clusters and endpoints before listeners, listeners before routes, routes before their virtual
hosts).
"""

from typing import Final

PREFIX: Final = "type.googleapis.com/"

CDS: Final = PREFIX + "envoy.config.cluster.v3.Cluster"
EDS: Final = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SDS: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
LDS: Final = PREFIX + "envoy.config.listener.v3.Listener"
RDS: Final = PREFIX + "envoy.config.route.v3.RouteConfiguration"
VHDS: Final = PREFIX + "envoy.config.route.v3.VirtualHost"

PUSH_ORDER: Final = (CDS, EDS, SDS, LDS, RDS, VHDS)

WILDCARD: Final = frozenset({CDS, LDS, VHDS})
"""Types of which an empty first subscription means everything. CDS and LDS by the protocol; VHDS because
Envoy subscribes to nothing by name, and takes the virtual hosts that it is sent."""

REFERRING: Final = (LDS, RDS, VHDS)
"""Types whose resources name clusters: they wait for new clusters, and removed clusters wait for them."""

SHORT: Final = {CDS: "cds", EDS: "eds", SDS: "sds", LDS: "lds", RDS: "rds", VHDS: "vhds"}
"""The types' short names, for metrics, logs and status."""
