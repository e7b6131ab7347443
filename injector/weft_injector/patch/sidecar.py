"""The container of the proxy: Envoy itself, with its whole bootstrap on the command line.

Nothing in the container writes a file, and nothing runs beside Envoy. What only the kubelet knows (the pod's name and
address) stands in the arguments as `$(NAME)`, which the kubelet replaces.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING
from typing import Any, Final

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.names import METRICS_PORT, READINESS_PORT
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.proxy import ProxyId, ProxyKind
from weft_injector.bootstrap.control_plane import ControlPlane, MutualTls
from weft_injector.bootstrap.document import ProxyPorts, bootstrap
from weft_injector.bootstrap.node import ProxyNode
from weft_injector.bootstrap.probes import GrpcProbe, HttpProbe, Probe, ProbeListener, TcpProbe
from weft_injector.bootstrap.probes import with_more_probes as bootstrap_with_more_probes
from weft_injector.patch.options import Options
from weft_injector.patch.security import restricted
from weft_injector.patch.volumes import WORKING_DIRECTORY, certificate_mount
from weft_injector.quantity import parse_quantity
from weft_injector.settings import InjectionSettings

METRICS_PORT_NAME: Final = "http-envoy-prom"
BOOTSTRAP_FLAG: Final = "--config-yaml"
LONGEST_ARGUMENT: Final = 128 * 1024 - 256
"""Linux takes no argument of 128 KiB or more (MAX_ARG_STRLEN); a little is left for what the kubelet fills in."""

_POD_NAME: Final = "$(POD_NAME)"
_POD_NAMESPACE: Final = "$(POD_NAMESPACE)"
_POD_IP: Final = "$(POD_IP)"
_LOCALHOST: Final = "127.0.0.1"
_VARIABLES: Final = (
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_IP", "status.podIP"),
)
WEFT: Final = "/usr/local/bin/weft"
"""The command, in Weft's image."""
_START_SECONDS: Final = 600
"""How long a pod waits for its proxy, as with Istio: longer than any outage of the control plane should be."""
_SHORT_OF_GRACE: Final = 3
"""Seconds of the pod's grace period that are left for Envoy to end in after it has drained."""
_REPLACED_SECONDS: Final = 45
"""How long a connection outlives the listener that a new policy replaced, as with Istio; Envoy's own is ten minutes."""
_DEFAULT_THREADS: Final = 2
_MOST_THREADS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the proxy says of itself, besides what the kubelet fills in."""

    kind: ProxyKind
    workload: str
    service_account: str
    canonical_name: str
    labels: Mapping[str, str]
    """The pod's, those that injection adds included."""
    grace_seconds: int
    probes: Sequence[Probe] = field(default=())
    localhost: bool = False
    """Whether the application listens on loopback alone."""


def image_fields(options: Options, settings: InjectionSettings) -> dict[str, Any]:
    """The image, and when it is pulled where that is set."""
    policy = settings.image_pull_policy
    return {"image": options.image, **({"imagePullPolicy": policy.value} if policy else {})}


def proxy_container(identity: Identity, options: Options, settings: InjectionSettings) -> dict[str, Any]:
    """The container, for sidecars and gateways alike."""
    native = options.native and identity.kind is ProxyKind.SIDECAR
    container: dict[str, Any] = {
        "name": SIDECAR_CONTAINER,
        **image_fields(options, settings),
        "command": ["/usr/local/bin/envoy"],
        "args": _arguments(identity, options, settings),
        "workingDir": WORKING_DIRECTORY,
        "env": [*(_from_pod(name, path) for name, path in _VARIABLES), *_environment(options)],
        "ports": [{"containerPort": METRICS_PORT, "name": METRICS_PORT_NAME, "protocol": "TCP"}],
        "resources": dict(options.resources),
        "securityContext": restricted(),
        "volumeMounts": [certificate_mount(), *map(dict, options.user_volumes.mounts)],
        # Readiness is asked for when this has succeeded: at once, not when its next period comes.
        "startupProbe": {**_ready(), "failureThreshold": _START_SECONDS, "periodSeconds": 1, "timeoutSeconds": 3},
        "readinessProbe": _readiness(options),
        "lifecycle": _lifecycle(identity, options, native),
    }
    if native:
        container["restartPolicy"] = "Always"
    return container


def _arguments(identity: Identity, options: Options, settings: InjectionSettings) -> list[str]:
    arguments = [
        *(BOOTSTRAP_FLAG, _compact(_bootstrap(identity, options, settings))),
        *("--drain-strategy", "immediate", "--drain-time-s", str(_REPLACED_SECONDS)),
        *("--log-level", options.log_level),
    ]
    if options.component_log_level:
        arguments += ["--component-log-level", options.component_log_level]
    if threads := _threads(options):
        arguments += ["--concurrency", str(threads)]
    # Hot restart needs shared memory between two processes of one container, of which there never are two.
    return [*arguments, "--disable-hot-restart"]


def _bootstrap(identity: Identity, options: Options, settings: InjectionSettings) -> dict[str, Any]:
    host, _, port = settings.xds_address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    metadata = {
        "NAMESPACE": _POD_NAMESPACE,
        "LABELS": literal(dict(identity.labels)),
        "SERVICE_ACCOUNT": literal(identity.service_account),
        "WORKLOAD_NAME": literal(identity.workload),
        **literal(dict(options.metadata)),
    }
    node = ProxyNode(
        proxy=ProxyId(identity.kind, _POD_NAMESPACE, _POD_NAME),
        ip=_POD_IP,
        cluster=f"{literal(identity.canonical_name)}.{_POD_NAMESPACE}",
        cluster_domain=settings.cluster_domain,
        metadata=metadata,
    )
    return bootstrap(
        node,
        ControlPlane(host=host, port=int(port), tls=MutualTls(server_name=host)),
        ProxyPorts(metrics_address=_POD_IP, metrics_also_on_loopback=True),
        ProbeListener(
            probes=[_literal_probe(p) for p in identity.probes],
            address=_POD_IP,
            application=_application(identity.localhost),
        )
        if identity.probes
        else None,
    )


def with_more_probes(argument: str, probes: Sequence[Probe], *, localhost: bool) -> str:
    """The argument of `--config-yaml` with further probes in it."""
    document = bootstrap_with_more_probes(
        json.loads(argument),
        [_literal_probe(probe) for probe in probes],
        address=_POD_IP,
        application=_application(localhost),
    )
    return _compact(document)


def _application(localhost: bool) -> str:
    return _LOCALHOST if localhost else _POD_IP


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def literal(value: Any) -> Any:
    """A value that the kubelet leaves as it is: it reads `$$` in arguments as `$`, and `$(NAME)` as a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {literal(key): literal(item) for key, item in value.items()}
    return value


def _literal_probe(probe: Probe) -> Probe:
    match probe:
        case HttpProbe():
            return replace(probe, target=literal(probe.target))
        case GrpcProbe():
            return replace(probe, service=literal(probe.service))
        case TcpProbe():
            return probe


def _threads(options: Options) -> int:
    """Worker threads as Istio counts them: as many as the CPUs that the container may use. 0 leaves it to Envoy."""
    if options.concurrency is not None:
        return options.concurrency
    for kind in ("limits", "requests"):
        if cpu := options.resources.get(kind, {}).get("cpu"):
            with suppress(ValueError):  # what is no quantity is the API server's to refuse
                return min(_MOST_THREADS, max(1, int(parse_quantity(str(cpu)).to_integral_value(ROUND_CEILING))))
    return _DEFAULT_THREADS


def _from_pod(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _environment(options: Options) -> list[dict[str, Any]]:
    reserved = {name for name, _ in _VARIABLES}
    return [{"name": name, "value": text} for name, text in options.environment.items() if name not in reserved]


def _ready() -> dict[str, Any]:
    return {"httpGet": {"path": "/healthz/ready", "port": READINESS_PORT}}


def _readiness(options: Options) -> dict[str, Any]:
    readiness = options.readiness
    return {
        **_ready(),
        "failureThreshold": readiness.failures,
        "initialDelaySeconds": readiness.initial_delay,
        "periodSeconds": readiness.period,
        "timeoutSeconds": 3,
    }


def _lifecycle(identity: Identity, options: Options, native: bool) -> dict[str, Any]:
    """Hooks of start and end.

    A native sidecar's preStop runs when the pod's end begins, and the sidecar ends after all other containers: it has
    only to say that connections shall move elsewhere. A plain one is ended together with the application, so it stays
    while there are connections, within the grace period.
    """
    drain = [WEFT, "drain", *(["--all"] if identity.kind is ProxyKind.GATEWAY else [])]
    if not native:
        longest = max(0, identity.grace_seconds - _SHORT_OF_GRACE)
        shortest = min(options.drain.total_seconds(), longest)
        drain += [f"--minimum={shortest:g}", f"--maximum={longest}"]
    lifecycle: dict[str, Any] = {"preStop": {"exec": {"command": drain}}}
    if options.hold and not native and identity.kind is ProxyKind.SIDECAR:
        lifecycle["postStart"] = {"exec": {"command": [WEFT, "wait", f"--timeout={_START_SECONDS}"]}}
    return lifecycle


def too_long(ref: ObjectRef) -> Problem:
    """What is to be said where the bootstrap does not fit on a command line."""
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=ref,
        path="spec",
        message="the proxy's configuration, with all probes, labels and metadata, is longer than an argument can be",
        fix='remove probes, or annotate the pod sidecar.istio.io/rewriteAppHTTPProbers: "false"',
    )
