"""Header operations. What is set overwrites, what is added is appended; removals come last."""

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption

from weft_core.ir.route import HeaderOperations


def header_options(operations: HeaderOperations) -> Iterator[HeaderValueOption]:
    """What is set, then what is added. Values may hold Envoy's `%…%` commands."""
    for name, value in operations.set:
        yield _option(name, value, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    for name, value in operations.add:
        yield _option(name, value, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)


def _option(name: str, value: str, action: HeaderValueOption.HeaderAppendAction.ValueType) -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)
