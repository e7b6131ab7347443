"""Namespaces that have, or are to have, pods with a proxy: they need the mesh's roots."""

from weft_core.graph import query
from weft_core.injection import choose, has_proxy
from weft_core.registry import Registry


@query
def mesh_namespaces(db: Registry, revision: str, own_namespace: str, istio_labels: bool) -> frozenset[str]:
    """Those whose pods the control plane of `revision` injects, or that have pods with a proxy of any revision.

    `own_namespace`, the control plane's, is none of them; `istio_labels` says whether Istio's labels count.
    """
    return frozenset(
        name
        for name in db.namespaces.all_keys()
        if name != own_namespace
        and (_wants_sidecars(db, name, revision, own_namespace, istio_labels) or _has_proxies(db, name))
    )


@query
def _wants_sidecars(db: Registry, name: str, revision: str, own_namespace: str, istio_labels: bool) -> bool:
    row = db.namespaces.get(name)
    if row is None or row.metadata.deletion_timestamp:
        return False  # a namespace that is being deleted takes no new objects
    choice = choose(
        namespace=name,
        namespace_labels=row.labels,
        istio_labels=istio_labels,
        own_namespace=own_namespace,
    )
    return choice.by(revision)


@query
def _has_proxies(db: Registry, name: str) -> bool:
    row = db.namespaces.get(name)
    if row is None or row.metadata.deletion_timestamp:
        return False
    return any((pod := db.pods.get(key)) is not None and has_proxy(pod) for key in db.pods.by("namespace", name))
