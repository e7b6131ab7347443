"""How to reach the API server, and who we are there: from the pod's service account, or from a kubeconfig.

A kubeconfig, with its certificates, tokens and exec plugins, is read by the official client. Requests are not made with
it: its calls block, and parse every object at ten times the cost of msgspec. In a pod it is not even imported: that
takes 0.3 s of the start.
"""

import os
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
    the TLS context is the identity. `server_name` is the one in the server's certificate, where that is another than in
    its address, as at the end of a tunnel.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: Callable[[], str]
    server_name: str = ""


def login(kubeconfig: Path | None = None) -> Login:
    """Log in with this kubeconfig; without one as the pod that we are, or with the user's own. Blocking.

    Raises EnvironmentFault where neither works.
    """
    try:
        if kubeconfig is None and (_ACCOUNT / "token").exists():
            return _as_pod()
        return _as_user(kubeconfig)
    except (OSError, ValueError) as error:
        raise _no_way(error) from error


_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet keeps the pod's token, always a valid one, and the API server's root certificate."""


def _as_pod() -> Login:
    """As the pod's service account.

    https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        raise ValueError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set")
    return Login(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        tls=ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt")),
        authorization=lambda: f"Bearer {(_ACCOUNT / 'token').read_text().strip()}",
    )


def _as_user(kubeconfig: Path | None) -> Login:
    from kubernetes import client, config  # noqa: PLC0415 - 0.3 s, and pods don't need it

    configuration: Any = client.Configuration()
    path = config.KUBE_CONFIG_DEFAULT_LOCATION if kubeconfig is None else str(kubeconfig)
    try:
        config.load_kube_config(config_file=path, client_configuration=configuration)
        token_file = _token_file(config.kube_config.KubeConfigMerger(path).config)
    except (config.ConfigException, TypeError) as error:
        raise _no_way(error) from error

    def authorization() -> str:
        if token_file is not None:
            return f"Bearer {token_file.read_text().strip()}"
        return configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""

    return Login(
        server=configuration.host.rstrip("/"),
        tls=_tls(configuration),
        authorization=authorization,
        server_name=configuration.tls_server_name or "",
    )


def _token_file(merged: Any) -> Path | None:
    """The file with the token of the current user, if it is the file that counts.

    The official client reads it once, with its line's end. Whoever writes tokens into files writes newer ones there.
    """
    name = merged["contexts"].get_with_name(merged["current-context"])["context"].safe_get("user")
    found = merged["users"].get_with_name(name, safe=True)
    if found is None:
        return None
    user = found.value.get("user") or {}
    if "tokenFile" not in user or user.keys() & {"token", "auth-provider"}:
        return None
    return Path(found.path).parent.absolute() / str(user["tokenFile"])


def _no_way(error: Exception) -> EnvironmentFault:
    return EnvironmentFault(
        f"no way into a Kubernetes cluster: {error}; run in a pod, set KUBECONFIG, or pass --kubeconfig"
    )


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
