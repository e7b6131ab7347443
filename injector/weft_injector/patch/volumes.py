"""The volume that the sidecar gets its certificate from: one for all, so that key, chain and roots change together.

Both deliveries look the same to Envoy; see `sds`. The volume's files can be read by every user of the pod, but it is
mounted into the sidecar alone, and no `fsGroup` is touched, which would be the application's affair.
"""

from datetime import timedelta
from typing import Any

from weft_injector.delivery.names import CREDENTIALS_KEY, SIGNER, TRUST_BUNDLE, TRUST_BUNDLE_KEYS, secret_name
from weft_injector.sds import CREDENTIALS_FILE, WORKLOAD_SECRETS

VOLUME = "weft-certificates"
WORKING_DIRECTORY = "/etc/weft"
"""The sidecar's; its configuration names files relative to it."""
_READ_BY_ALL = 0o444


def pod_certificate(lifetime: timedelta) -> dict[str, Any]:
    """The source for which the kubelet makes a key and asks the mesh's signer (Kubernetes 1.37 and later)."""
    return {
        "podCertificate": {
            "signerName": SIGNER,
            "keyType": "ECDSAP256",
            "credentialBundlePath": CREDENTIALS_FILE,
            "maxExpirationSeconds": int(lifetime.total_seconds()),
        }
    }


def secret(workload: str, service_account: str) -> dict[str, Any]:
    """The source that is the workload's Secret, which the control plane keeps fresh."""
    items = [{"key": CREDENTIALS_KEY, "path": CREDENTIALS_FILE}]
    return {"secret": {"name": secret_name(workload, service_account), "items": items}}


def certificate_volume(credentials: dict[str, Any]) -> dict[str, Any]:
    """The volume: the credentials from their source, and the namespace's trust bundle."""
    items = [{"key": key, "path": key} for key in TRUST_BUNDLE_KEYS]
    bundle = {"configMap": {"name": TRUST_BUNDLE, "items": items}}
    return {"name": VOLUME, "projected": {"defaultMode": _READ_BY_ALL, "sources": [credentials, bundle]}}


def certificate_mount() -> dict[str, Any]:
    """Where the sidecar sees it."""
    return {"name": VOLUME, "mountPath": f"{WORKING_DIRECTORY}/{WORKLOAD_SECRETS.path}", "readOnly": True}
