"""What an earlier injection left in a pod that is a copy of another.

`kubectl debug --copy-to` and tools of its sort leave out annotations, labels, init containers or probes as they are
told. A copy with all of the injector's containers has its sidecar, whatever it says of itself. Of others the
injector's own parts are made anew, instead of being taken for something of the author's.
"""

from collections.abc import Mapping
from typing import Any, Final

from weft_core.injection import SIDECAR_CONTAINER
from weft_injector.delivery.names import TRUST_BUNDLE
from weft_injector.patch.pod import Container, Document, Pod
from weft_injector.patch.redirect import CONTAINER as REDIRECT_CONTAINER
from weft_injector.patch.sidecar import BOOTSTRAP_FLAG, WEFT
from weft_injector.patch.volumes import VOLUME

_PARTS: Final = (("initContainers", REDIRECT_CONTAINER), ("volumes", VOLUME))


def is_complete(pod: Pod) -> bool:
    """Whether traffic is led to a sidecar of this injector's make, with its bootstrap on its command line."""
    redirected = any(container.name == REDIRECT_CONTAINER for container in pod.spec.init_containers)
    return redirected and any(map(is_proxy, pod.all_containers()))


def is_redirect(container: Container) -> bool:
    """Whether an init container is the injector's own."""
    return container.name == REDIRECT_CONTAINER and (container.command, container.args[:1]) == ((WEFT,), ("redirect",))


def is_proxy(container: Container) -> bool:
    """Whether a container is a proxy as the injector makes it."""
    return container.name == SIDECAR_CONTAINER and container.args[:1] == (BOOTSTRAP_FLAG,)


def is_volume(volume: Mapping[str, Any]) -> bool:
    """Whether a volume is the injector's own: the mesh's trust bundle is in it."""
    sources = (volume.get("projected") or {}).get("sources") or []
    bundles = [(source.get("configMap") or {}).get("name") for source in sources if isinstance(source, Mapping)]
    return volume.get("name") == VOLUME and TRUST_BUNDLE in bundles


def drop_redirect_and_volume(spec: Document) -> None:
    """Take both out of a pod's spec, where nobody else's have their names."""
    for field, name in _PARTS:
        if members := spec.get(field):
            spec[field] = [member for member in members if member.get("name") != name]
