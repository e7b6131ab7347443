"""Header operations of a rule or a destination. Writing the host is a rewrite, everything else is a list for Envoy."""

from weft_core.ir.route import HeaderOperations, Headers
from weft_core.model import destination as model

_HOST = frozenset({"host", ":authority"})


def headers(operations: model.Headers | None) -> Headers:
    """The operations of both directions, sorted by name; pseudo-headers and the host are left to `host_rewrite`."""
    if operations is None:
        return Headers()
    return Headers(request=_operations(operations.request), response=_operations(operations.response))


def host_rewrite(operations: model.Headers | None) -> str:
    """The host that a request header operation sets; empty where none does."""
    if operations is None or operations.request is None:
        return ""
    return next((value for name, value in sorted(operations.request.set.items()) if name.lower() in _HOST), "")


def joined(first: Headers, then: Headers) -> Headers:
    """The operations of both, the second's later: where both set a header, the second's value stays."""
    return Headers(request=_joined(first.request, then.request), response=_joined(first.response, then.response))


def _joined(first: HeaderOperations, then: HeaderOperations) -> HeaderOperations:
    return HeaderOperations(
        set=first.set + then.set, add=first.add + then.add, remove=tuple(dict.fromkeys(first.remove + then.remove))
    )


def _operations(operations: model.HeaderOperations | None) -> HeaderOperations:
    if operations is None:
        return HeaderOperations()
    return HeaderOperations(
        set=tuple(sorted((name, value) for name, value in operations.set.items() if _ordinary(name))),
        add=tuple(sorted((name, value) for name, value in operations.add.items() if _ordinary(name))),
        remove=tuple(sorted(name for name in operations.remove if _ordinary(name))),
    )


def _ordinary(name: str) -> bool:
    return name.lower() != "host" and not name.startswith(":")
