"""How to reach the API server, and who we are there: from a kubeconfig or from the pod's service account.

The reading of kubeconfig files, with their certificates, tokens and exec plugins, is the official client's. Requests
are not: its calls block, and parse every object at ten times the cost of msgspec.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft_core.errors import EnvironmentFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The server's address, the TLS context for it, and the `Authorization` header of the moment.

    `authorization` may read a file or run a plugin: call it in a thread. It gives "" where the client certificate in
    the TLS context is the identity.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: Callable[[], str]


def login(kubeconfig: Path | None = None) -> Login:
    """Log in with this kubeconfig; without one as the pod that we are, or with the user's own. Blocking.

    Raises EnvironmentFault where neither works.
    """
    from kubernetes import client, config  # noqa: PLC0415 - half a second, and only clusters need it

    configuration: Any = client.Configuration()
    try:
        if kubeconfig is None and Path(_TOKEN).exists():
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=None if kubeconfig is None else str(kubeconfig), client_configuration=configuration
            )
    except (config.ConfigException, OSError, TypeError) as error:
        raise EnvironmentFault(
            f"no way into a Kubernetes cluster: {error}; run in a pod, set KUBECONFIG, or pass --kubeconfig"
        ) from error
    return Login(
        server=configuration.host.rstrip("/"),
        tls=_tls(configuration),
        authorization=lambda: configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or "",
    )


_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
