"""The init container that leads the pod's traffic through the proxy: `weft redirect`, and then it is gone."""

from typing import Any, Final

from weft_injector.capture.flags import flags_of
from weft_injector.patch.options import Options
from weft_injector.patch.security import redirecting

CONTAINER: Final = "weft-redirect"
ISTIO_CONTAINER: Final = "istio-init"
"""Its name with Istio, by which people set its resources and privileges."""


def redirect_container(options: Options, image: dict[str, Any]) -> dict[str, Any]:
    """The container. It has the sidecar's resources: a quota may demand some, and both never add up."""
    return {
        "name": CONTAINER,
        **image,
        "command": ["/usr/local/bin/weft"],
        "args": ["redirect", *flags_of(options.capture)],
        "resources": dict(options.resources),
        "securityContext": redirecting(),
    }
