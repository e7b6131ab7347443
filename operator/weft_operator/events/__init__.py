"""Kubernetes Events: what `kubectl describe` and `kubectl get events` show of what happened to an object."""

from weft_operator.events.recorder import EventRecorder
from weft_operator.events.series import Happening

__all__ = ["EventRecorder", "Happening"]
