"""Whom the added containers run as, and the applications that would slip past their sidecar.

The sidecar keeps to the Pod Security Standard `restricted`. The container that redirects traffic can't: changing the
pod's packet filter takes NET_ADMIN, which `baseline` refuses too. A namespace of either level therefore takes no pod
with redirected traffic; `privileged` does, as with Istio without its CNI plugin.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.capture.settings import PROXY_GID, PROXY_UID
from weft_injector.patch.pod import Container, Pod, SecurityContext

_INIT: Final = "spec.initContainers["
_ROOT: Final = 0


def restricted() -> dict[str, Any]:
    """The sidecar's security context: nothing that it does needs a privilege, or a file to write."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": PROXY_GID,
        "runAsNonRoot": True,
        "runAsUser": PROXY_UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def redirecting() -> dict[str, Any]:
    """The init container's: root with the capabilities that packet filters need, whatever the pod says of itself."""
    return {
        **restricted(),
        "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "runAsUser": 0,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyUser:
    """Whom the proxy runs as: its traffic is told from the application's by these two."""

    uid: int = PROXY_UID
    gid: int = PROXY_GID

    @classmethod
    def of(cls, pod: Pod) -> Self:
        """The pod's own container for the proxy may say so. Root's group is that of too many others to go by."""
        own = next((found for found in pod.all_containers() if found.name == SIDECAR_CONTAINER), None)
        if own is None:
            return cls()
        user, group = own.security_context.run_as_user, own.security_context.run_as_group
        return cls(uid=PROXY_UID if user is None else user, gid=group or PROXY_GID)


def bypassing(pod: Pod, ref: ObjectRef) -> Iterator[Problem]:
    """An error for each application that would run as the proxy's user or group, and for a proxy that would as root.

    For init containers that end it is a warning: Istio's users do so on purpose where a proxy is not up yet.
    """
    proxy = ProxyUser.of(pod)
    for field, containers in (("containers", pod.spec.containers), ("initContainers", pod.spec.init_containers)):
        for index, container in enumerate(containers):
            path = f"spec.{field}[{index}]"
            if container.name == SIDECAR_CONTAINER:
                yield from _root(container, ref, path)
            else:
                yield from _same_user(container, pod.spec.security_context, proxy, ref, path)


def _same_user(
    container: Container, everyone: SecurityContext, proxy: ProxyUser, ref: ObjectRef, path: str
) -> Iterator[Problem]:
    own = container.security_context
    for name, value, shared, proxys in (
        ("runAsUser", own.run_as_user, everyone.run_as_user, proxy.uid),
        ("runAsGroup", own.run_as_group, everyone.run_as_group, proxy.gid),
    ):
        if (shared if value is None else value) == proxys:
            where = "spec" if value is None else path
            severity = Severity.WARNING if path.startswith(_INIT) and not container.keeps_running else Severity.ERROR
            bypass = f"what runs as {proxys} is taken for the proxy, so its traffic would go past it"
            message = f"container {container.name}: {bypass}"
            yield _problem(ref, f"{where}.securityContext.{name}", message, "choose another number", severity)


def _root(container: Container, ref: ObjectRef, path: str) -> Iterator[Problem]:
    if container.security_context.run_as_user == _ROOT:
        message = "traffic of the proxy's user is not captured, and root is the user of many applications"
        yield _problem(ref, f"{path}.securityContext.runAsUser", message, f"remove it, or write {PROXY_UID}")


def _problem(ref: ObjectRef, path: str, message: str, fix: str, severity: Severity = Severity.ERROR) -> Problem:
    code = Code.SCHEMA_VALIDATION_ERROR if severity is Severity.ERROR else Code.SCHEMA_WARNING
    return Problem(code=code, severity=severity, object=ref, path=path, message=message, fix=fix)
