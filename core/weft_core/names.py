"""Names that people's dashboards, EnvoyFilters and habits depend on: Istio's, letter for letter."""

import re

from weft_core.problems import ObjectRef

DEFAULT_DOMAIN = "cluster.local"
MESH_GATEWAY = "mesh"

PASSTHROUGH_CLUSTER = "PassthroughCluster"
BLACK_HOLE_CLUSTER = "BlackHoleCluster"
INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
HTTP_PROXY_ROUTE = "http_proxy"
"""Route configuration of a sidecar that applications use as their HTTP proxy."""

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
READINESS_PORT = 15021
METRICS_PORT = 15090
ADMIN_PORT = 15000
HBONE_PORT = 15008

_JOB_OF_CRON_JOB = re.compile(r"(.+)-\d{8,}")


def outbound_cluster(port: int, subset: str, host: str) -> str:
    """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{host}"


def outbound_sni(port: int, subset: str, host: str) -> str:
    """The cluster name in a form that TLS's server name indication takes: `outbound_.9080_.v1_.reviews…`."""
    return f"outbound_.{port}_.{subset}_.{host}"


def inbound_cluster(port: int) -> str:
    """`inbound|9080||`: the port is the workload's, not the Service's."""
    return f"inbound|{port}||"


def virtual_host(route_configuration: str, host: str, port: int) -> str:
    """A virtual host's resource name: the route configuration it belongs to, then Istio's name of it."""
    return f"{route_configuration}/{host}:{port}"


def service_host(name: str, namespace: str, domain: str = DEFAULT_DOMAIN) -> str:
    """The fully qualified host name of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{domain}"


def resolve_host(host: str, namespace: str, domain: str = DEFAULT_DOMAIN) -> str:
    """A short name is meant in the namespace of the object that uses it; whatever has a dot is taken literally."""
    if "." in host or host.startswith("*"):
        return host
    return service_host(host, namespace, domain)


def qualified_gateway(name: str, namespace: str) -> str:
    """A gateway's name in full, as namespace/name.

    `mesh` stays, and a bare name is meant in the object's own namespace. `name.namespace`, with or without a domain
    behind it, is how Istio began; it still reads any name with a dot so.
    """
    if name == MESH_GATEWAY:
        return name
    owner, slash, rest = name.rpartition("/")
    if slash:
        return f"{namespace}/{rest}" if owner == "." else name
    rest, dot, owner = name.partition(".")
    return f"{owner.partition('.')[0]}/{rest}" if dot else f"{namespace}/{name}"


def matches_host(pattern: str, host: str) -> bool:
    """Whether `host` is `pattern`, or lies below it where it begins with `*`. `*` alone matches all."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return pattern == host


def hosts_overlap(one: str, other: str) -> bool:
    """Whether some host could match both; either may begin with `*`."""
    if one.startswith("*") and other.startswith("*"):
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    return matches_host(one, other) or matches_host(other, one)


def specificity(pattern: str) -> tuple[bool, int]:
    """Sort key, most specific last: an exact host beats any wildcard, a longer wildcard a shorter one."""
    return (not pattern.startswith("*"), len(pattern))


def config_path(ref: ObjectRef) -> str:
    """Istio's `filter_metadata.istio.config`: where an object lives in the API."""
    kind = "".join("-" + c.lower() if c.isupper() else c for c in ref.kind).lstrip("-")
    group = "security" if ref.kind.endswith(("Authentication", "Policy")) else "networking"
    return f"/apis/{group}.istio.io/v1/namespaces/{ref.namespace}/{kind}/{ref.name}"


CERTIFICATE_SECRET = "default"  # noqa: S105 - a name, not a secret
ROOT_SECRET = "ROOTCA"  # noqa: S105 - a name, not a secret
CERTIFICATES_DIRECTORY = "certs"
"""Below the proxy's working directory, in a pod as on a laptop, so that configuration names one path everywhere."""
SECRET_FILES = {
    CERTIFICATE_SECRET: f"{CERTIFICATES_DIRECTORY}/sds-default.json",
    ROOT_SECRET: f"{CERTIFICATES_DIRECTORY}/sds-rootca.json",
}
"""File-based SDS documents by secret name."""


def workload_name(kind: str, name: str, template_hash: str = "") -> str:
    """What people call a workload: its Deployment or CronJob, or the owner `kind`/`name` of its pods as it is.

    A Deployment's pods belong to a ReplicaSet, whose name ends in the hash of the pod template, which is also the pods'
    label `pod-template-hash`; a CronJob's belong to a Job, whose name ends in the minute that it was due.
    """
    if kind == "ReplicaSet" and template_hash:
        return name.removesuffix(f"-{template_hash}")
    if kind == "Job" and (found := _JOB_OF_CRON_JOB.fullmatch(name)):
        return found[1]
    return name
