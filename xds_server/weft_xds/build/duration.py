"""Durations: Python's as protobuf's."""

from datetime import timedelta
from typing import overload

from google.protobuf.duration_pb2 import Duration


@overload
def duration(value: timedelta) -> Duration: ...
@overload
def duration(value: None) -> None: ...
def duration(value: timedelta | None) -> Duration | None:
    """The same span of time; None stays None, which leaves a field unset."""
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message
