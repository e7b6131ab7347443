"""Names of what certificate delivery keeps in the API server, and how its objects are marked as ours.

All of it is owned by the release's ClusterRole: a cluster-scoped owner may own objects of any namespace, so that the
garbage collector clears up after an uninstall and no finalizer is needed.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weft_core.model.kubernetes import KubernetesObject
from weft_injector.sds import CREDENTIALS_FILE, ROOTS_FILE, WORKLOAD_SECRETS

SIGNER: Final = "weft.dev/workload"
"""The signer that pods' `podCertificate` volume sources name."""

SELF_MADE_ROOT: Final = "weft-ca"
PLUGGED_IN_ROOT: Final = "cacerts"
"""Istio's name. Where this Secret exists it wins over the self-made root."""
PREVIOUS_ROOT: Final = "weft-ca-previous"
"""What signed before, while a root is being replaced."""

TRUST_BUNDLE: Final = "weft-trust-bundle"
"""The ConfigMap of each mesh namespace: roots and SDS documents, projected into pods."""
TRUST_BUNDLE_KEYS: Final = (ROOTS_FILE, *WORKLOAD_SECRETS.documents())
CREDENTIALS_KEY: Final = CREDENTIALS_FILE
"""The key of a workload's Secret: private key first, its chain behind it."""
SECRET_TYPE: Final = "weft.dev/credentials"  # noqa: S105 - a type, not a secret
"""The Secrets' `type`, by which the API server can select them."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "weft"
CONTROL_PLANE_LABEL: Final = "weft.dev/control-plane"
"""The release namespace of the control plane that an object comes from."""

WORKLOAD_ANNOTATION: Final = "weft.dev/workload"
SERVICE_ACCOUNT_ANNOTATION: Final = "weft.dev/service-account"
IDENTITY_ANNOTATION: Final = "weft.dev/identity"
ISSUED_AT_ANNOTATION: Final = "weft.dev/issued-at"
EXPIRES_AT_ANNOTATION: Final = "weft.dev/expires-at"
USED_AT_ANNOTATION: Final = "weft.dev/used-at"
"""When a pod was last admitted with this Secret, give or take half an hour."""
ISSUER_ANNOTATION: Final = "weft.dev/issuer"
"""The fingerprint of the certificate that signed."""
JOINED_AT_ANNOTATION: Final = "weft.dev/joined-at"
"""When the new root joined the trust bundle."""
REPLACED_BY_ANNOTATION: Final = "weft.dev/replaced-by"
"""The fingerprint of the roots that take the previous ones' place."""

_READABLE: Final = 180
"""Characters of a workload's name that its Secret's name keeps."""
_UNFIT = re.compile(r"[^a-z0-9]+")


def secret_name(workload: str, service_account: str) -> str:
    """The Secret with the credentials of a workload's pods, at most 253 characters of RFC 1123.

    One workload may run under several service accounts while it is being moved from one to the next, so both count. A
    hash of the two tells apart what would read the same (`a-b` as `c`, `a` as `b-c`); the name is for people.
    """
    digest = hashlib.sha256(f"{workload}\0{service_account}".encode()).hexdigest()[:16]
    readable = _UNFIT.sub("-", workload.lower())[:_READABLE].strip("-")
    return "-".join(part for part in ("weft-credentials", readable, digest) if part)


@dataclass(slots=True, kw_only=True)
class Release:
    """One installed control plane: its name (`weft`, or `weft-REV`), its namespace and its ClusterRole's uid.

    Without a uid (a control plane that no chart has installed) objects have no owner. All parts of a replica share one
    object, in which `release.refresh` alone changes the uid: deployment tools delete a ClusterRole and make it anew.
    """

    name: str = "weft"
    namespace: str = "weft-system"
    uid: str = ""

    @property
    def cluster_name(self) -> str:
        """The name of its cluster-scoped objects."""
        return f"{self.name}-{self.namespace}"

    @property
    def owner_references(self) -> list[dict[str, Any]]:
        """`metadata.ownerReferences` of what this release makes."""
        if not self.uid:
            return []
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
        return [{**kind, "name": self.cluster_name, "uid": self.uid}]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of what this release makes; revisions of one release namespace share their objects."""
        return {MANAGED_BY_LABEL: MANAGED_BY, CONTROL_PLANE_LABEL: self.namespace}

    @property
    def selector(self) -> str:
        """The label selector of what this release namespace's control planes made."""
        return ",".join(f"{name}={value}" for name, value in self.labels.items())

    def metadata(self, name: str, *, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        """`metadata` of a new object."""
        found: dict[str, Any] = {"name": name, "labels": self.labels}
        if annotations:
            found["annotations"] = dict(annotations)
        if self.uid:
            found["ownerReferences"] = self.owner_references
        return found

    def joined(self, references: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """An object's owners and this release among them.

        Revisions side by side share a root, and the object must outlive all but the last of them.
        """
        kept = [dict(reference) for reference in references]
        return [*kept, *(own for own in self.owner_references if own["uid"] not in {r.get("uid") for r in kept})]

    def owns(self, row: KubernetesObject) -> bool:
        """Whether this release is among the owners; without a uid whether the labels say so."""
        if not self.uid:
            return all(row.labels.get(name) == value for name, value in self.labels.items())
        return any(reference.uid == self.uid for reference in row.metadata.owner_references)
