"""What to say about a document whose apiVersion and kind Weft does not read."""

from weft_core.model.base import nearest
from weft_core.model.kinds import KUBERNETES_KINDS, MESH_KINDS, NETWORKING, SECURITY, UNSUPPORTED_MESH_KINDS, Kind
from weft_core.model.mistake import Mistake
from weft_core.problems import Code, Severity

GATEWAY_API = "gateway.networking.k8s.io"
_FOREIGN = (GATEWAY_API, "networking.k8s.io")


def unknown_kind(api_version: str, kind: str) -> Mistake:
    """An error for a slip of a kind that Weft reads, a note for kinds that are none of its business."""
    group = api_version.rpartition("/")[0]
    if UNSUPPORTED_MESH_KINDS.get(kind) == group:
        return _mistake(
            "kind",
            Severity.WARNING,
            f"Weft does not support {kind} yet; the object has no effect",
            "remove it, or do not rely on it",
        )
    if group not in _FOREIGN and (meant := _meant(group, kind)):
        return _slip(api_version, kind, meant)
    if group.endswith("istio.io"):
        names = ", ".join(k.kind for k in MESH_KINDS)
        return _mistake("kind", Severity.ERROR, f"{api_version} has no kind {kind}", f"write one of {names}")
    if group == GATEWAY_API:
        return _mistake(
            "kind",
            Severity.WARNING,
            f"Weft does not read the Gateway API ({kind}) yet; the object has no effect",
            "write Istio's Gateway and VirtualService",
        )
    return _mistake("kind", Severity.INFO, f"Weft does not read {api_version} {kind}", "")


def _meant(group: str, kind: str) -> Kind | None:
    """The kind that was probably meant: one of the mesh in a group like the mesh's, or one of Kubernetes."""
    mesh_group = group.endswith("istio.io") or not group or nearest(group, [NETWORKING, SECURITY]) is not None
    candidates = [*(MESH_KINDS if mesh_group else ()), *(() if "." in group else KUBERNETES_KINDS)]
    by_name = {k.kind: k for k in candidates}
    if kind in by_name:
        return by_name[kind]
    plural = next((k for k in candidates if kind.lower() in {k.plural, *k.short_names}), None)
    guess = nearest(kind, list(by_name))
    # `Service` is near to many kinds of Kubernetes' own: there, only case and plural are forgiven.
    if guess and not by_name[guess].is_mesh and guess.lower() != kind.lower():
        guess = None
    return plural or (by_name[guess] if guess else None)


def _slip(api_version: str, kind: str, meant: Kind) -> Mistake:
    wrong_api = api_version not in meant.api_versions
    fixes = [f"kind: {meant.kind}"] if kind != meant.kind else []
    fixes += [f"apiVersion: {meant.api_versions[0]}"] if wrong_api else []
    field = "kind" if kind != meant.kind else "apiVersion"
    return _mistake(field, Severity.ERROR, f"there is no {api_version} {kind}", f"write {' and '.join(fixes)}")


def _mistake(field: str, severity: Severity, message: str, fix: str) -> Mistake:
    return Mistake(path=(field,), severity=severity, code=Code.UNKNOWN_KIND, message=message, fix=fix)
