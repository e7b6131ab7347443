"""One of several replicas writes: elected by a Lease, as Kubernetes' own controllers are."""

from weft_operator.leader.election import Timing
from weft_operator.leader.lease import Leader

__all__ = ["Leader", "Timing"]
