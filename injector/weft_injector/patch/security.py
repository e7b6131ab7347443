"""Whom the added containers run as, and the applications that would slip past their sidecar.

The sidecar keeps to the Pod Security Standard `restricted`. The container that redirects traffic can't: changing the
pod's packet filter takes NET_ADMIN, which `baseline` refuses too. A namespace of either level therefore takes no pod
with redirected traffic; `privileged` does, as with Istio without its CNI plugin.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator
from typing import Any, Final

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.capture.settings import PROXY_GID, PROXY_UID
from weft_injector.patch.pod import Container, Pod, SecurityContext

_INIT: Final = "spec.initContainers["
_BYPASS: Final = f"what runs as {PROXY_UID} is taken for the proxy, so its traffic would go past it"


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


def bypassing(pod: Pod, ref: ObjectRef) -> Iterator[Problem]:
    """An error for each application that would run as the proxy's user or group, and for a proxy that would not.

    For init containers that end it is a warning: Istio's users do so on purpose where a proxy is not up yet.
    """
    for field, containers in (("containers", pod.spec.containers), ("initContainers", pod.spec.init_containers)):
        for index, container in enumerate(containers):
            path = f"spec.{field}[{index}]"
            if container.name == SIDECAR_CONTAINER:
                yield from _other_user(container, ref, path)
            else:
                yield from _same_user(container, pod.spec.security_context, ref, path)


def _same_user(container: Container, everyone: SecurityContext, ref: ObjectRef, path: str) -> Iterator[Problem]:
    own = container.security_context
    for name, value, shared, proxy in (
        ("runAsUser", own.run_as_user, everyone.run_as_user, PROXY_UID),
        ("runAsGroup", own.run_as_group, everyone.run_as_group, PROXY_GID),
    ):
        if (shared if value is None else value) == proxy:
            where = "spec" if value is None else path
            severity = Severity.WARNING if path.startswith(_INIT) and not container.keeps_running else Severity.ERROR
            message = f"container {container.name}: {_BYPASS}"
            yield _problem(ref, f"{where}.securityContext.{name}", message, "choose another number", severity)


def _other_user(container: Container, ref: ObjectRef, path: str) -> Iterator[Problem]:
    user = container.security_context.run_as_user
    if user not in (None, PROXY_UID):
        message = f"the proxy runs as {PROXY_UID}, by which its own traffic is told from the application's"
        yield _problem(ref, f"{path}.securityContext.runAsUser", message, f"remove it, or write {PROXY_UID}")


def _problem(ref: ObjectRef, path: str, message: str, fix: str, severity: Severity = Severity.ERROR) -> Problem:
    code = Code.SCHEMA_VALIDATION_ERROR if severity is Severity.ERROR else Code.SCHEMA_WARNING
    return Problem(code=code, severity=severity, object=ref, path=path, message=message, fix=fix)
