"""What the injector puts into pods: InjectionSettings, the key `injection` of the control plane's ConfigMap.

All have defaults, so an empty document is a valid one. Names are those of Helm values: camelCase. Unknown fields are
errors: a setting that is misspelt and silently without effect could be the one that was to protect something.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from weft_core.load.yaml import load
from weft_core.model.base import Model
from weft_core.model.explain import parse
from weft_core.model.frozen import FrozenDict
from weft_core.model.mistake import Mistake, Path, format_path
from weft_core.model.scalars import Bool, Duration, DurationOrZero, FrozenMap, Host, Int, NonEmpty
from weft_core.names import DEFAULT_DOMAIN
from weft_core.problems import ObjectRef, Problem, Severity, Source
from weft_injector.capture.annotations import PREFIX, capture_settings
from weft_injector.quantity import Quantity, parse_quantity

SETTINGS_KEY = "injection"
"""The key of the ConfigMap that holds the settings, beside `mesh`."""
DEFAULT_REVISION = "default"


class Delivery(StrEnum):
    """How a pod gets its certificate."""

    AUTO = "auto"
    """Pod certificates where the API server has them, else Secrets."""
    POD_CERTIFICATES = "podCertificates"
    """The kubelet makes the key and asks the mesh's signer (Kubernetes 1.37 and later)."""
    SECRETS = "secrets"
    """The control plane makes key and certificate, and keeps them in a Secret per workload."""


class Switch(StrEnum):
    """On, off, or as the cluster allows."""

    AUTO = "auto"
    ENABLED = "enabled"
    DISABLED = "disabled"


class PullPolicy(StrEnum):
    """When the kubelet pulls the image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class LogLevel(StrEnum):
    """Envoy's log levels."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFeatures:
    """What the cluster can do, found out from its API server."""

    pod_certificates: bool = False
    """`certificates.k8s.io/v1` serves `podcertificaterequests`: Kubernetes 1.37 and later."""
    native_sidecars: bool = False
    """Init containers with `restartPolicy: Always` work by default: Kubernetes 1.29 and later."""


class Certificates(Model):
    """How workloads get their certificates."""

    delivery: Delivery = Field(Delivery.AUTO, description="auto, podCertificates or secrets.")
    lifetime: Duration = Field(
        timedelta(hours=24), description="How long a workload's certificate lives; renewed at half of it."
    )

    def check(self) -> Iterator[Mistake]:
        """The API server refuses pod certificates below an hour and above 91 days (maxExpirationSeconds)."""
        if not timedelta(hours=1) <= self.lifetime <= timedelta(days=91):
            yield Mistake(
                path=("lifetime",),
                message="workload certificates live between 1h and 2184h",
                fix="write a duration in this range, such as 24h",
            )


class Resources(Model):
    """Resources of the sidecar, as Kubernetes writes them. An empty map sets none."""

    requests: FrozenMap[str, Quantity] = Field(
        FrozenDict({"cpu": "100m", "memory": "128Mi"}), description="What is reserved for the sidecar."
    )
    limits: FrozenMap[str, Quantity] = Field(
        FrozenDict({"cpu": "2", "memory": "1Gi"}), description="What the sidecar gets at most."
    )

    def check(self) -> Iterator[Mistake]:
        """Kubernetes refuses every pod whose container requests more than its limit."""
        for name, request in self.requests.items():
            limit = self.limits.get(name)
            if limit is not None and parse_quantity(request) > parse_quantity(limit):
                yield Mistake(
                    path=("requests", name),
                    message=f"{request} is more than the limit of {limit}",
                    fix="lower the request, or raise the limit",
                )


class Traffic(Model):
    """What is captured where a pod's own `traffic.sidecar.istio.io/*` annotation says nothing.

    Each is written as the annotation of the same name: items separated by commas, `*` for all.
    """

    include_outbound_ip_ranges: str = Field(
        "*", alias="includeOutboundIPRanges", description="CIDRs whose traffic is captured; `*`: all."
    )
    exclude_outbound_ip_ranges: str = Field(
        "", alias="excludeOutboundIPRanges", description="CIDRs whose traffic is not captured."
    )
    include_outbound_ports: str = Field("", description="Outbound ports captured whatever the address.")
    exclude_outbound_ports: str = Field("", description="Outbound ports that are not captured.")
    include_inbound_ports: str = Field("*", description="Inbound ports that are captured; `*`: all.")
    exclude_inbound_ports: str = Field("", description="Inbound ports that are not captured.")
    exclude_interfaces: str = Field("", description="Network interfaces whose traffic is not captured.")

    def check(self) -> Iterator[Mistake]:
        """What the annotations' own reader refuses."""
        _, problems = capture_settings(self.annotations(), pod=ObjectRef())
        for problem in problems:
            name = problem.path.rpartition(PREFIX)[2].rstrip("]")
            yield Mistake(path=(name,), message=problem.message, fix=problem.fix, severity=problem.severity)

    def annotations(self) -> dict[str, str]:
        """The settings as a pod's annotations."""
        return {
            f"{PREFIX}{field.alias or name}": getattr(self, name) for name, field in type(self).model_fields.items()
        }


def check_address(text: str) -> str:
    """HOST:PORT, an IPv6 address in brackets, with a port. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= 65535):
        raise ValueError(f"`{text[:80]}` is not HOST:PORT")
    return text


class InjectionSettings(Model):
    """What the injector puts into pods."""

    image: NonEmpty = Field("weft", description="Weft's image: Envoy and `weft redirect` are in it.")
    image_pull_policy: PullPolicy | None = Field(None, description="When it is pulled; Kubernetes' default by its tag.")
    image_pull_secrets: tuple[NonEmpty, ...] = Field((), description="Names of Secrets, added to the pod's own.")
    namespace: NonEmpty = Field("weft-system", description="The control plane's namespace: nothing is injected there.")
    revision: NonEmpty = Field(DEFAULT_REVISION, description="The revision of the control plane.")
    istio_labels: Bool = Field(
        False, description="Whether namespaces' labels istio-injection and istio.io/rev count beside Weft's."
    )
    istio_pod_labels: Bool = Field(
        True, description="Whether sidecar.istio.io/inject=true asks for a sidecar where the namespace says nothing."
    )
    native_sidecar: Switch = Field(
        Switch.AUTO, description="An init container that keeps running: auto: 1.29 and later."
    )
    certificates: Certificates = Field(Certificates(), description="How workloads get their certificates.")
    xds_address: str = Field("weft.weft-system.svc:15012", description="HOST:PORT of the control plane.")
    cluster_domain: Host = Field(DEFAULT_DOMAIN, description="The cluster's DNS domain.")
    resources: Resources = Field(Resources(), description="Resources of sidecars.")
    log_level: LogLevel = Field(LogLevel.WARNING, description="Envoy's log level.")
    component_log_level: str = Field("", description="Envoy's log level by component: http:debug,router:trace.")
    concurrency: Int | None = Field(
        None, ge=0, le=1024, description="Envoy's worker threads; 0: one per core; none: by the CPU limit."
    )
    termination_drain_duration: DurationOrZero = Field(
        timedelta(seconds=5), description="How long a proxy of a stopping pod at least stays for stragglers."
    )
    hold_application_until_proxy_starts: Bool = Field(
        True, description="Plain containers: start the application once the proxy is ready."
    )
    traffic: Traffic = Field(Traffic(), description="What of pods' traffic is captured.")
    rewrite_probes: Bool = Field(True, description="Whether the kubelet's probes go through the proxy.")

    def check(self) -> Iterator[Mistake]:
        """Texts with a form of their own."""
        try:
            check_address(self.xds_address)
        except ValueError as error:
            yield Mistake(path=("xdsAddress",), message=str(error), fix="write weft.weft-system.svc:15012")
        if reason := component_levels_error(self.component_log_level):
            yield Mistake(path=("componentLogLevel",), message=reason, fix=COMPONENTS_FIX)

    def native(self, features: ClusterFeatures) -> bool:
        """Whether the sidecar is an init container that keeps running."""
        return self.native_sidecar is Switch.ENABLED or (
            self.native_sidecar is Switch.AUTO and features.native_sidecars
        )

    def pod_certificates(self, features: ClusterFeatures) -> bool:
        """Whether the kubelet asks for the certificate; else it lies in a Secret."""
        delivery = self.certificates.delivery
        return delivery is Delivery.POD_CERTIFICATES or (delivery is Delivery.AUTO and features.pod_certificates)


COMPONENTS_FIX = "write COMPONENT:LEVEL, separated by commas: http:debug,router:trace"


def component_levels_error(text: str) -> str | None:
    """What is wrong with a value of `--component-log-level`; empty is fine."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        component, colon, level = part.partition(":")
        if not (colon and component.replace("_", "").isalnum() and level in set(LogLevel)):
            return f"`{part[:80]}` is not a component of Envoy with a log level"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsLoaded:
    """The settings, or None where the document has an error, and all that is wrong with it."""

    settings: InjectionSettings | None = None
    problems: tuple[Problem, ...] = ()


def load_settings(text: str, ref: ObjectRef, *, file: str = "", prefix: Path = ()) -> SettingsLoaded:
    """Read the settings' YAML, of the ConfigMap `ref` (with `prefix` the path of its key) or of a file."""
    loaded = load(text, file)
    if loaded.problems:
        path = format_path(prefix)
        return SettingsLoaded(problems=tuple(replace(problem, object=ref, path=path) for problem in loaded.problems))
    if not loaded.documents:
        return SettingsLoaded(settings=InjectionSettings())
    document = loaded.documents[0]
    settings, mistakes = parse(InjectionSettings, document.value, prefix)
    problems = tuple(m.problem(ref, Source(file=file, line=document.line_of(m.path[len(prefix) :]))) for m in mistakes)
    if len(loaded.documents) > 1:
        extra = Mistake(path=prefix, message="there is more than one document", fix="keep one")
        problems = (*problems, extra.problem(ref, loaded.documents[1].source))
    if not isinstance(settings, InjectionSettings) or any(p.severity is Severity.ERROR for p in problems):
        return SettingsLoaded(problems=problems)
    return SettingsLoaded(settings=settings, problems=problems)
