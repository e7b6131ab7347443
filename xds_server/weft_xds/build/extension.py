"""Extensions: a configuration packed into an Any, the same bytes each time."""

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message


def packed(message: Message) -> Any:
    """The message in an Any. Map entries are sorted, so that equal messages have equal bytes."""
    container = Any()
    container.Pack(message, deterministic=True)
    return container
