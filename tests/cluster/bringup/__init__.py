"""Real Kubernetes for tests: an API server with etcd, or a whole node, made from nothing and gone without a trace.

`ControlPlane` starts in seconds and is enough for what only talks to the API; `Node` runs Pods too.
`python -m bringup --help` is the same for people.

Where from: `$KUBECONFIG`, if set, names the cluster that tests use, and nothing is started. Else the programs of
`$KUBEBUILDER_ASSETS` or PATH; else they are built with Go, once, into `$WEFT_CACHE` (`~/.cache/weft` by default), where
the images are kept too. On a cluster that is given, tests of Pods run if `WEFT_IMAGES_LOADED=1` says that it has them.
"""

from bringup.cluster import Cluster, CommandFailed
from bringup.control import NODELESS_CONTROLLERS, ControlPlane
from bringup.errors import BringUpError, Failed, Unavailable
from bringup.node import Node

__all__ = [
    "NODELESS_CONTROLLERS",
    "BringUpError",
    "Cluster",
    "CommandFailed",
    "ControlPlane",
    "Failed",
    "Node",
    "Unavailable",
]
