"""What is known of the workloads that a policy is about: who they are, and what their ports speak."""

from collections.abc import Mapping

from weft_core.graph import query
from weft_core.ir.service import Labels, ServiceRef
from weft_core.registry import Registry
from weft_core.view.inbound import InboundPort, service_ports
from weft_core.view.proxies import Workload, workload
from weft_core.view.selectors import selects


def selected_workloads(db: Registry, namespace: str, selector: Mapping[str, str]) -> tuple[Workload, ...]:
    """The pods of a namespace that a selector picks."""
    found = (workload(db, key) for key in db.pods.by("namespace", namespace))
    return tuple(each for each in found if each and selects(selector, each.labels))


@query
def service_workloads(db: Registry, ref: ServiceRef) -> tuple[Workload, ...]:
    """The pods that a service's selector picks, whatever their state. Those that only EndpointSlices name are not."""
    own = (row for row in db.services.rows("host", ref.host) if row.namespace == ref.namespace)
    selectors = [row.spec.selector or {} for row in own] or [
        row.spec.workload_selector.labels
        for row in db.service_entries.rows("host", ref.host)
        if row.meta.namespace == ref.namespace and row.spec.workload_selector
    ]
    found = (each for selector in selectors if selector for each in selected_workloads(db, ref.namespace, selector))
    return tuple(dict.fromkeys(found))


@query
def selected_ports(db: Registry, namespace: str, selector: Labels) -> tuple[InboundPort, ...]:
    """The ports of those pods that Services lead to, each once, by number."""
    ports = {
        port
        for each in selected_workloads(db, namespace, dict(selector))
        for port in service_ports(db, namespace, each.labels, each.ports)
    }
    return tuple(sorted(ports))
