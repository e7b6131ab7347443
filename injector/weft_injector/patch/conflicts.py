"""What of a pod goes against being injected: what would undo its protection, and names that the injector needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.offline import TEMPLATES_ANNOTATION
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.proxy import ProxyKind
from weft_injector.patch.annotations import Annotations
from weft_injector.patch.earlier import is_proxy, is_redirect, is_volume
from weft_injector.patch.overlay import overlay_problems, redirect_problems
from weft_injector.patch.pod import Pod
from weft_injector.patch.redirect import CONTAINER as REDIRECT_CONTAINER
from weft_injector.patch.redirect import ISTIO_CONTAINER
from weft_injector.patch.security import bypassing
from weft_injector.patch.volumes import VOLUME


def conflicts(pod: Pod, document: Mapping[str, Any], annotations: Annotations, kind: ProxyKind) -> Iterator[Problem]:
    """Errors that refuse the pod, and warnings about what of its own containers for the proxy has no effect.

    `document` is the pod in full, for what `Pod` does not read.
    """
    if kind is ProxyKind.SIDECAR:
        yield from bypassing(pod, annotations.pod)
        alone = {container.name for container in pod.spec.containers} == {SIDECAR_CONTAINER}
        if alone and not annotations.refuses(TEMPLATES_ANNOTATION):
            yield _nothing_but_the_proxy(annotations.pod)
    for index, volume in enumerate(pod.spec.volumes):
        if volume.name == VOLUME and not is_volume(document["spec"]["volumes"][index]):
            yield _taken(annotations.pod, f"spec.volumes[{index}].name", VOLUME)
    yield from _containers(pod, annotations.pod, kind)


def _containers(pod: Pod, ref: ObjectRef, kind: ProxyKind) -> Iterator[Problem]:
    for field, containers in (("containers", pod.spec.containers), ("initContainers", pod.spec.init_containers)):
        for index, container in enumerate(containers):
            path = f"spec.{field}[{index}]"
            if container.name == REDIRECT_CONTAINER and not is_redirect(container):
                yield _taken(ref, f"{path}.name", REDIRECT_CONTAINER)
            elif container.name == SIDECAR_CONTAINER and not is_proxy(container):
                yield from overlay_problems(container, ref, path)
            elif container.name == ISTIO_CONTAINER and field == "initContainers" and kind is ProxyKind.SIDECAR:
                yield from redirect_problems(container, ref, path)


def _taken(ref: ObjectRef, path: str, name: str) -> Problem:
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=ref,
        path=path,
        message=f"the injector adds something named {name} itself",
        fix="choose another name",
    )


def _nothing_but_the_proxy(ref: ObjectRef) -> Problem:
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=ref,
        path="spec.containers",
        message="a sidecar needs an application beside it, and the pod has the proxy alone",
        fix=f"annotate the pod {TEMPLATES_ANNOTATION}: gateway if it is to be a gateway",
    )
