"""Delegation: a rule may leave its place to the rules of another VirtualService, as far as these fit into its matches.

A delegate's rule is kept where each of its matches lies within one of the root's: then requests that the root's owner
did not hand over can't be caught by it. What does not fit is dropped, alone. The delegate's actions go before the
root's, field by field.
"""

from collections.abc import Iterator, Mapping

from weft_core.model.base import StringMatch
from weft_core.model.virtual_service import Delegate, HTTPMatchRequest, HTTPRoute
from weft_core.registry import Key, Registry
from weft_core.view.canonical import canonical_http, naming
from weft_core.view.mesh import mesh

_INHERITED = (
    "rewrite", "timeout", "retries", "fault", "mirror", "mirror_percent", "mirror_percentage", "cors_policy", "headers",
    "redirect", "direct_response",
)  # fmt: skip


def delegated(db: Registry, root: Key, rule: HTTPRoute) -> Iterator[HTTPRoute]:
    """The rules that stand for `rule`: itself, or what it delegates to. Part of the query that calls it.

    A delegate that delegates again, has hosts, or isn't exported to the root's namespace is no delegate.
    """
    if rule.delegate is None:
        yield rule
        return
    key = delegate_key(root, rule.delegate)
    row = db.virtual_services.get(key)
    if row is None or row.spec.hosts or exports_virtual_service(db, key, root[0]) is None:
        return
    for own in row.spec.http:
        fitted = _merge(rule, canonical_http(own, naming(db, key[0])))
        if own.delegate is None and fitted:
            yield fitted


def delegate_key(root: Key, delegate: Delegate) -> Key:
    """The VirtualService that a rule of `root` delegates to."""
    return (delegate.namespace or root[0], delegate.name)


def exports_virtual_service(db: Registry, key: Key, namespace: str) -> int | None:
    """Rank of a VirtualService for clients in `namespace`: 0 private, 1 exported to it, 2 public; None hidden."""
    row = db.virtual_services.get(key)
    if row is None:
        return None
    export_to = tuple(row.spec.export_to) or mesh(db).default_virtual_service_export_to or ("*",)
    if "*" in export_to:
        return 2
    if "." in export_to and row.meta.namespace == namespace:
        return 0
    return 1 if namespace in export_to else None


def _merge(root: HTTPRoute, own: HTTPRoute) -> HTTPRoute | None:
    matches = _merge_matches(root.match, own.match)
    if matches is None:
        return None
    inherited = {
        name: getattr(root, name)
        for name in _INHERITED
        if getattr(own, name) is None and getattr(root, name) is not None
    }
    if not own.mirrors and root.mirrors:
        inherited["mirrors"] = root.mirrors
    name = "-".join(part for part in (root.name, own.name) if part)
    return own.model_copy(update={**inherited, "match": matches, "name": name})


def _merge_matches(
    roots: tuple[HTTPMatchRequest, ...], own: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """All pairs that fit, or None where the delegate's rule has no place in the root's."""
    if not roots:
        return own
    if not own:
        return roots
    merged = tuple(both for mine in own for root in roots if (both := _merge_match(root, mine)))
    return merged or None


def _merge_match(root: HTTPMatchRequest, own: HTTPMatchRequest) -> HTTPMatchRequest | None:
    """The delegate's match with the root's conditions added; None where it is not within the root's."""
    single = ("uri", "scheme", "method", "authority")
    maps = ("headers", "without_headers", "query_params", "source_labels")
    scalars = ("port", "source_namespace")
    if not all(_within(getattr(root, name), getattr(own, name)) for name in single):
        return None
    if not all(_maps_fit(getattr(root, name), getattr(own, name)) for name in maps):
        return None
    if any(
        getattr(root, name) and getattr(own, name) and getattr(root, name) != getattr(own, name) for name in scalars
    ):
        return None
    gateways = [name for name in own.gateways if name in root.gateways] if root.gateways else list(own.gateways)
    if root.gateways and own.gateways and not gateways:
        return None
    if root.uri is not None and own.uri is not None and root.ignore_uri_case != own.ignore_uri_case:
        return None
    updates: dict[str, object] = {name: getattr(own, name) or getattr(root, name) for name in (*single, *scalars)}
    updates |= {name: type(getattr(own, name))({**getattr(root, name), **getattr(own, name)}) for name in maps}
    updates["gateways"] = tuple(gateways) if own.gateways else root.gateways
    updates["ignore_uri_case"] = own.ignore_uri_case if own.uri is not None else root.ignore_uri_case
    updates["stat_prefix"] = own.stat_prefix or root.stat_prefix
    updates["name"] = "-".join(part for part in (root.name, own.name) if part)
    return own.model_copy(update=updates)


def _maps_fit(root: Mapping[str, object], own: Mapping[str, object]) -> bool:
    return all(_within(condition, own[name]) for name, condition in root.items() if name in own)


def _within(root: object, own: object) -> bool:
    """Whether whatever satisfies `own` satisfies `root`; an unset side leaves the other's condition."""
    if root is None or own is None or root == own:
        return True
    if not isinstance(root, StringMatch) or not isinstance(own, StringMatch):
        return False
    if root.prefix is None:
        return False
    return (own.prefix or own.exact or "").startswith(root.prefix)
