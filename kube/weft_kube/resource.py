"""Where in the API a kind of object lives."""

from dataclasses import dataclass
from urllib.parse import quote

from weft_core.model.kinds import Kind

_STEPS = frozenset({".", ".."})
_SAFE = ":"
"""In names of roles, and of no meaning within a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource of the API, as its path names it."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = True

    @classmethod
    def of(cls, kind: Kind, version: str = "") -> "Resource":
        """The resource of a kind that Weft knows, in this version or the preferred one."""
        return cls(
            group=kind.group,
            version=version or kind.versions[0],
            plural=kind.plural,
            kind=kind.kind,
            namespaced=kind.namespaced,
        )

    @property
    def api_version(self) -> str:
        """What `apiVersion` of its objects says."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path below the server's address. Without a namespace it is that of all namespaces.

        Namespace and name may come from somebody who wants to be elsewhere, so each stays one segment, whatever is in
        it. Raises ValueError for `.` and `..`, which no quoting keeps from being walked.
        """
        if {namespace, name} & _STEPS:
            raise ValueError(f"{name or namespace!r} is no name of {self.plural}")
        namespace, name = quote(namespace, safe=_SAFE), quote(name, safe=_SAFE)
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, "namespaces", namespace] if self.namespaced and namespace else [root]
        return "/".join(part for part in (*parts, self.plural, name, subresource) if part)


SECRETS = Resource(plural="secrets", kind="Secret")
CONFIG_MAPS = Resource(plural="configmaps", kind="ConfigMap")
NAMESPACES = Resource(plural="namespaces", kind="Namespace", namespaced=False)
PODS = Resource(plural="pods", kind="Pod")
LEASES = Resource(group="coordination.k8s.io", plural="leases", kind="Lease")
EVENTS = Resource(group="events.k8s.io", plural="events", kind="Event")
CLUSTER_ROLES = Resource(group="rbac.authorization.k8s.io", plural="clusterroles", kind="ClusterRole", namespaced=False)
POD_CERTIFICATE_REQUESTS = Resource(
    group="certificates.k8s.io", plural="podcertificaterequests", kind="PodCertificateRequest"
)
MUTATING_WEBHOOKS = Resource(
    group="admissionregistration.k8s.io",
    plural="mutatingwebhookconfigurations",
    kind="MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS = Resource(
    group="admissionregistration.k8s.io",
    plural="validatingwebhookconfigurations",
    kind="ValidatingWebhookConfiguration",
    namespaced=False,
)
