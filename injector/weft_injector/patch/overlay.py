"""A pod's own container `istio-proxy` over the one that the injector makes: what its author wrote wins.

People set resources, ports, variables or probes of the proxy this way, and a gateway's Deployment has nothing but such
a container, with the image `auto`. Lists whose members have an identity in Kubernetes are merged by it, as a strategic
merge patch does; all else of the author's replaces the injector's. The command alone stays the injector's.

Istio's users write a container `istio-init` in the same way, for the one that redirects traffic.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from weft_core.model.mistake import one_line
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.patch.image import check_image
from weft_injector.patch.pod import Container
from weft_injector.quantity import parse_quantity

AUTO_IMAGE: Final = "auto"
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
}
_PROTOCOL: Final = "TCP"
_WHOLE: Final = frozenset({"livenessProbe", "postStart", "preStop", "readinessProbe", "startupProbe"})
"""Messages of which one field excludes another: merged, they could have two handlers."""
_OURS: Final = ("command", "args", "restartPolicy")
_ISTIOS_WORK: Final = ("name", "image", "command", "args", "restartPolicy")
"""What of a container `istio-init` is about Istio's own program."""


def overlaid(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The injector's container under the author's."""
    kept = {name: value for name, value in own.items() if value is not None and name not in _OURS}
    if kept.get("image", AUTO_IMAGE) == AUTO_IMAGE:
        kept.pop("image", None)
        # The API server gave the untagged `auto` this policy, which nobody asked for.
        if kept.get("imagePullPolicy") == "Always":
            del kept["imagePullPolicy"]
    return {**_merged(ours, kept), "resources": merged_resources(ours["resources"], own)}


def redirect_overlaid(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The redirecting container under the author's `istio-init`: resources, privileges and mounts are theirs."""
    kept = {name: value for name, value in own.items() if name not in _ISTIOS_WORK}
    return {**_merged(ours, kept), "resources": merged_resources(ours["resources"], own)}


def redirect_problems(own: Container, ref: ObjectRef, path: str) -> Iterator[Problem]:
    """Warnings for what of an `istio-init` has no effect."""
    image = "" if own.image == AUTO_IMAGE else own.image
    for name, value in (("image", image), ("command", own.command), ("args", own.args)):
        if value:
            message = f"traffic is redirected by Weft's own program; this {name} has no effect"
            yield _warning(ref, f"{path}.{name}", message, "remove it; what is captured is set by annotations")


def merged_resources(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The injector's resources under those of the author's container."""
    written = own.get("resources") or {}
    return _fitting(_merged(ours, written), written)


def overlay_problems(own: Container, ref: ObjectRef, path: str) -> Iterator[Problem]:
    """Warnings for what of the author's has no effect, and an error for an image that can't be the proxy's."""
    try:
        check_image(own.image or AUTO_IMAGE)
    except ValueError as error:
        yield Problem(
            code=Code.SCHEMA_VALIDATION_ERROR,
            severity=Severity.ERROR,
            object=ref,
            path=f"{path}.image",
            message=one_line(str(error)),
            fix=f"write {AUTO_IMAGE}, or an image of Weft's",
        )
    for name, value in (("command", own.command), ("args", own.args)):
        if value:
            message = f"the proxy is Envoy with its configuration on the command line; this {name} has no effect"
            yield _warning(
                ref, f"{path}.{name}", message, "remove it; log levels and concurrency are set by annotations"
            )


def _warning(ref: ObjectRef, path: str, message: str, fix: str) -> Problem:
    return Problem(code=Code.SCHEMA_WARNING, severity=Severity.WARNING, object=ref, path=path, message=message, fix=fix)


def _merged(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(ours)
    for name, value in own.items():
        mine = ours.get(name)
        if value is None:  # as good as absent, and no way to take the proxy's user away
            continue
        if isinstance(value, Mapping) and isinstance(mine, Mapping) and name not in _WHOLE:
            result[name] = _merged(mine, value)
        elif isinstance(value, list) and isinstance(mine, list) and name in _KEYS:
            result[name] = _merged_list(mine, value, _KEYS[name])
        else:
            result[name] = value
    return result


def _fitting(merged: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Resources without requests of the injector's above the author's limits, or limits below the author's requests.

    Kubernetes refuses a container that requests more than its limit, and takes the limit for the request where that is
    missing.
    """
    result = {kind: dict(amounts) for kind, amounts in merged.items() if isinstance(amounts, Mapping)}
    requests, limits = result.get("requests", {}), result.get("limits", {})
    for name in requests.keys() & limits.keys():
        if _exceeds(requests[name], limits[name]):
            if name not in (own.get("requests") or {}):
                del requests[name]
            elif name not in (own.get("limits") or {}):
                del limits[name]
    return {**merged, **result}


def _exceeds(request: object, limit: object) -> bool:
    """Whether it does; what is no quantity is the API server's to refuse."""
    try:
        return parse_quantity(str(request)) > parse_quantity(str(limit))
    except ValueError:
        return False


def _merged_list(ours: list[Any], own: list[Any], keys: tuple[str, ...]) -> list[Any]:
    def identity(member: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(member.get(key, _PROTOCOL) for key in keys)

    replaced = {identity(member): member for member in own}
    first = [replaced.pop(identity(member), member) for member in ours]
    return [*first, *replaced.values()]
