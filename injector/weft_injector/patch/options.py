"""What one pod's sidecar is to be like: the mesh's settings, and what the pod says of its own.

Later ones win: InjectionSettings, MeshConfig's `defaultConfig`, the annotation `proxy.istio.io/config`, and the
annotations that are about one thing each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from weft_core.load.yaml import load
from weft_core.model.explain import parse
from weft_core.model.mistake import describe, format_path
from weft_core.model.proxy_config import InterceptionMode, ProxyConfig
from weft_core.problems import Severity
from weft_injector.capture.annotations import capture_settings
from weft_injector.capture.settings import CaptureSettings
from weft_injector.patch.annotations import (
    BEFORE_PROXY,
    BOOLEAN_FIX,
    MERGE_METRICS,
    PROXY_CONFIG,
    READINESS,
    REWRITE_PROBES,
    SIDECAR,
    Annotations,
    boolean,
    whole_number,
)
from weft_injector.patch.image import IMAGE_FIX, check_image
from weft_injector.patch.pod import Resources
from weft_injector.patch.user_volumes import UserVolumes
from weft_injector.quantity import FIX as QUANTITY_FIX
from weft_injector.quantity import parse_quantity
from weft_injector.settings import COMPONENTS_FIX, ClusterFeatures, InjectionSettings, LogLevel, component_levels_error

_JUDGED_HERE: Final = "interceptionMode"
"""The field of ProxyConfig that is without effect at run time, and about which `_check_mode` has its own words."""
_NODE_METADATA: Final = "ISTIO_META_"
_RESOURCES: Final = (
    ("requests", "cpu", "proxyCPU"),
    ("requests", "memory", "proxyMemory"),
    ("limits", "cpu", "proxyCPULimit"),
    ("limits", "memory", "proxyMemoryLimit"),
)
_NO_BUDGET: Final = Resources()
_NO_VOLUMES: Final = UserVolumes()
_NONE_AT_ALL = "a sidecar without captured traffic protects nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How the kubelet asks whether the proxy is ready; Istio's defaults."""

    initial_delay: int = 0
    period: int = 15
    failures: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one pod's sidecar is to be like."""

    image: str
    native: bool
    hold: bool
    rewrite_probes: bool
    log_level: str
    component_log_level: str
    concurrency: int | None
    """Worker threads; 0: as many as Envoy finds cores, None: by the CPU that it gets."""
    drain: timedelta
    resources: Mapping[str, Mapping[str, str]]
    """`requests` and `limits`, those that are not empty."""
    capture: CaptureSettings
    readiness: Readiness = Readiness()
    before_proxy: frozenset[str] = frozenset()
    """Init containers that start before a native sidecar; before a plain one, all do."""
    environment: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the proxy's node."""
    user_volumes: UserVolumes = _NO_VOLUMES
    scraped: bool = True
    """Whether Prometheus is led to the proxy, where the pod doesn't lead it elsewhere."""


def read_options(
    annotations: Annotations,
    settings: InjectionSettings,
    features: ClusterFeatures,
    defaults: ProxyConfig,
    budget: Resources = _NO_BUDGET,
) -> Options:
    """The options; whatever is wrong is noted in `annotations`, and then they are not to be used if it is an error.

    `budget` holds the resources that the pod has as a whole.
    """
    options = _of_settings(settings, features)
    options = _configured(options, defaults, annotations)
    own = _own_config(annotations)
    if own is not None:
        options = _configured(options, own, annotations)
    mode = annotations.read(f"{SIDECAR}interceptionMode", _mode, _MODES_FIX, InterceptionMode.REDIRECT)
    _check_mode(annotations, f"{SIDECAR}interceptionMode", mode)
    read = annotations.read
    return replace(
        options,
        image=read(f"{SIDECAR}proxyImage", check_image, IMAGE_FIX, options.image),
        native=read(f"{SIDECAR}nativeSidecar", boolean, BOOLEAN_FIX, options.native),
        rewrite_probes=read(REWRITE_PROBES, boolean, BOOLEAN_FIX, options.rewrite_probes),
        log_level=read(f"{SIDECAR}logLevel", _log_level, _LEVELS_FIX, options.log_level),
        component_log_level=read(
            f"{SIDECAR}componentLogLevel", _component_levels, COMPONENTS_FIX, options.component_log_level
        ),
        resources=_resources(annotations) or _within(budget, options.resources),
        capture=_capture(annotations, settings) or options.capture,
        readiness=_readiness(annotations),
        user_volumes=UserVolumes.read(annotations),
        scraped=read(MERGE_METRICS, boolean, BOOLEAN_FIX, True),
        before_proxy=frozenset(filter(None, map(str.strip, annotations.values.get(BEFORE_PROXY, "").split(",")))),
    )


def _of_settings(settings: InjectionSettings, features: ClusterFeatures) -> Options:
    resources = {"requests": dict(settings.resources.requests), "limits": dict(settings.resources.limits)}
    return Options(
        image=settings.image,
        native=settings.native(features),
        hold=settings.hold_application_until_proxy_starts,
        rewrite_probes=settings.rewrite_probes,
        log_level=settings.log_level.value,
        component_log_level=settings.component_log_level,
        concurrency=settings.concurrency,
        drain=settings.termination_drain_duration,
        resources={kind: amounts for kind, amounts in resources.items() if amounts},
        capture=CaptureSettings(),
    )


def _configured(options: Options, config: ProxyConfig, annotations: Annotations) -> Options:
    """The options with what a ProxyConfig sets; what it leaves out stays as it was."""
    written = config.model_fields_set
    if "interception_mode" in written:
        _check_mode(annotations, PROXY_CONFIG, config.interception_mode)
    hold = config.hold_application_until_proxy_starts
    environment, metadata = _variables(config.proxy_metadata)
    return replace(
        options,
        concurrency=options.concurrency if config.concurrency is None else config.concurrency,
        drain=config.termination_drain_duration if "termination_drain_duration" in written else options.drain,
        hold=options.hold if hold is None else hold,
        environment={**options.environment, **environment},
        metadata={**options.metadata, **metadata},
    )


def _variables(proxy_metadata: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Istio's proxyMetadata: the proxy's environment, and what of it is meant for the node's metadata."""
    environment: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, text in proxy_metadata.items():
        key = name.removeprefix(_NODE_METADATA)
        (environment if key == name else metadata)[key] = text
    return environment, metadata


def _own_config(annotations: Annotations) -> ProxyConfig | None:
    """The ProxyConfig that the pod brings along, as YAML or JSON."""
    text = annotations.values.get(PROXY_CONFIG)
    if text is None:
        return None
    loaded = load(text, "")
    for problem in loaded.problems:
        annotations.refuse(PROXY_CONFIG, f"{problem.message} (line {problem.source.line} of the text)", problem.fix)
    if loaded.problems or not loaded.documents:
        return None
    config, mistakes = parse(ProxyConfig, loaded.documents[0].value, ())
    for mistake in mistakes:
        where = f"{format_path(mistake.path)}: " if mistake.path else ""
        if mistake.severity is Severity.ERROR:
            annotations.refuse(PROXY_CONFIG, f"{where}{mistake.message}", mistake.fix)
        elif mistake.path[0] != _JUDGED_HERE:
            annotations.warn(PROXY_CONFIG, f"{where}{mistake.message}", mistake.fix, mistake.code)
    if not isinstance(config, ProxyConfig):
        return None
    if config.gateway_topology is not None:
        message = "gatewayTopology: it is read from the mesh's own configuration alone"
        annotations.warn(PROXY_CONFIG, message, "set meshConfig.defaultConfig.gatewayTopology")
    return config


def _check_mode(annotations: Annotations, name: str, mode: InterceptionMode) -> None:
    if mode is InterceptionMode.NONE:
        fix = "remove it; to have no sidecar at all, label the pod sidecar.istio.io/inject: 'false'"
        annotations.refuse(name, f"interception mode NONE is not supported: {_NONE_AT_ALL}", fix)
    elif mode is InterceptionMode.TPROXY:
        message = "TPROXY is not supported; traffic is redirected, so applications see the proxy as the sender"
        annotations.warn(name, message, "remove it")


def _resources(annotations: Annotations) -> dict[str, dict[str, str]]:
    """What the pod asks for its sidecar. Any of the four annotations replaces all defaults, as with Istio."""
    found: dict[str, dict[str, str]] = {}
    for kind, resource, name in _RESOURCES:
        if amount := annotations.read(f"{SIDECAR}{name}", _quantity, QUANTITY_FIX, ""):
            found.setdefault(kind, {})[resource] = amount
    for resource, limit in found.get("limits", {}).items():
        request = found.get("requests", {}).get(resource)
        if request is not None and parse_quantity(request) > parse_quantity(limit):
            name = next(name for kind, of, name in _RESOURCES if (kind, of) == ("requests", resource))
            message = f"{request} is more than the limit of {limit}"
            annotations.refuse(f"{SIDECAR}{name}", message, "lower the request, or raise the limit")
    return found


def _within(budget: Resources, defaults: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Defaults for what the pod does not share out as a whole: on top of its budget, the API server would refuse it."""
    shared = budget.requests.keys() | budget.limits.keys()
    left = {
        kind: {name: amount for name, amount in amounts.items() if name not in shared}
        for kind, amounts in defaults.items()
    }
    return {kind: amounts for kind, amounts in left.items() if amounts}


def _capture(annotations: Annotations, settings: InjectionSettings) -> CaptureSettings | None:
    """Each of the pod's own annotations replaces the setting of the same name."""
    texts = settings.traffic.annotations() | annotations.traffic()
    capture, problems = capture_settings(texts, pod=annotations.pod)
    for problem in problems:
        name = problem.path.partition("[")[2].rstrip("]")
        annotations.problems.append(replace(problem, path=annotations.path(name)))
    return capture


def _readiness(annotations: Annotations) -> Readiness:
    def number(name: str, default: int) -> int:
        return annotations.read(f"{READINESS}{name}", whole_number, "write a number", default)

    default = Readiness()
    return Readiness(
        initial_delay=number("initialDelaySeconds", default.initial_delay),
        period=max(1, number("periodSeconds", default.period)),
        failures=max(1, number("failureThreshold", default.failures)),
    )


_MODES_FIX = "write REDIRECT, or remove it"
_LEVELS_FIX = f"write one of {', '.join(LogLevel)}"


def _mode(text: str) -> InterceptionMode:
    if text not in set(InterceptionMode):
        raise ValueError(f"`{describe(text)}` is no interception mode")
    return InterceptionMode(text)


def _log_level(text: str) -> str:
    """Istio's list of scopes (`default:info`) is no level of Envoy's."""
    if text.lower() not in set(LogLevel):
        raise ValueError(f"`{describe(text)}` is not one of Envoy's log levels")
    return text.lower()


def _component_levels(text: str) -> str:
    if reason := component_levels_error(text):
        raise ValueError(reason)
    return text


def _quantity(text: str) -> str:
    parse_quantity(text)
    return text
