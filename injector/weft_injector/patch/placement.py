"""Where in a pod the added containers go. All of these write to the pod's spec, a copy of the author's."""

from collections.abc import Collection
from typing import Final

from weft_core.injection import SIDECAR_CONTAINER
from weft_injector.patch.overlay import redirect_overlaid
from weft_injector.patch.pod import Document
from weft_injector.patch.redirect import ISTIO_CONTAINER

_LOW_PORTS: Final = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
"""Kubernetes counts it as safe, and the Pod Security Standard `restricted` allows it."""


def own_proxy(spec: Document) -> Document | None:
    """The container that the pod's author wrote for the proxy."""
    members = (*_members(spec, "containers"), *_members(spec, "initContainers"))
    return next((dict(member) for member in members if member["name"] == SIDECAR_CONTAINER), None)


def place_sidecar(spec: Document, proxy: Document, redirect: Document, *, native: bool, early: Collection[str]) -> None:
    """A native sidecar goes before all init containers, which then have a network; a plain one before the others.

    Those named in `early` come before the redirect, too: with it alone they would have no network. The author's own
    containers for the proxy and for the redirect give up their places.
    """
    written = _members(spec, "initContainers")
    for own in (member for member in written if member["name"] == ISTIO_CONTAINER):
        redirect = redirect_overlaid(redirect, own)
    members = [member for member in written if member["name"] not in (SIDECAR_CONTAINER, ISTIO_CONTAINER)]
    applications = [member for member in _members(spec, "containers") if member["name"] != SIDECAR_CONTAINER]
    before = [member for member in members if member["name"] in early]
    after = [member for member in members if member["name"] not in early]
    spec["initContainers"] = [*before, redirect, *([proxy] if native else []), *after]
    spec["containers"] = applications if native else [proxy, *applications]


def place_gateway(spec: Document, proxy: Document) -> None:
    """A gateway's proxy keeps the place of the author's. It may listen on 80 and 443 without a capability."""
    containers = _members(spec, "containers")
    names = [member["name"] for member in containers]
    at = names.index(SIDECAR_CONTAINER) if SIDECAR_CONTAINER in names else len(names)
    spec["containers"] = [*containers[:at], proxy, *containers[at + 1 :]]
    context = dict(spec.get("securityContext") or {})
    sysctls = context.get("sysctls") or []
    if all(parameter.get("name") != _LOW_PORTS["name"] for parameter in sysctls):
        spec["securityContext"] = {**context, "sysctls": [*sysctls, dict(_LOW_PORTS)]}


def _members(spec: Document, field: str) -> list[Document]:
    return spec.get(field) or []
