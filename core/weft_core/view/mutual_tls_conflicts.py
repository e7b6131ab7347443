"""DestinationRules whose TLS mode the other side does not take.

Clients that call in clear where only mutual TLS goes, or begin mutual TLS where only clear text goes, fail on every
request. Automatic mutual TLS, which a rule without `tls` leaves in force, never does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, ServiceRef
from weft_core.model.destination_rule import DestinationRule
from weft_core.model.meta import Config
from weft_core.model.mistake import Path
from weft_core.model.tls_settings import ClientTLSMode
from weft_core.problems import Code, Problem
from weft_core.registry import Registry
from weft_core.view.endpoints import target_port
from weft_core.view.finding import finding
from weft_core.view.peer_authentication import MutualTlsMode, mutual_tls_mode
from weft_core.view.selectors import labels_of, selects
from weft_core.view.services import service
from weft_core.view.workload_ports import service_workloads

_FAILS_AGAINST = {
    ClientTLSMode.DISABLE: MutualTlsMode.STRICT,
    ClientTLSMode.SIMPLE: MutualTlsMode.STRICT,
    ClientTLSMode.ISTIO_MUTUAL: MutualTlsMode.DISABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A TLS mode, where a rule says it, and for which ports and endpoints."""

    path: Path
    mode: ClientTLSMode
    only: int | None = None
    """The one port that it is for; None: all but `but`."""
    but: frozenset[int] = frozenset()
    labels: Labels = ()

    def covers(self, port: int) -> bool:
        """Whether it decides about this port of the service."""
        return port == self.only if self.only is not None else port not in self.but


def mutual_tls_conflicts(db: Registry, row: Config[DestinationRule], refs: tuple[ServiceRef, ...]) -> Iterator[Problem]:
    """The findings of one rule, of which `refs` are the services; one for each place where it says a mode."""
    for said in _modes(row.spec):
        fails = _FAILS_AGAINST.get(said.mode)
        found = ((ref, number) for ref in refs for number, taken in modes_taken(db, ref, said.labels) if taken is fails)
        refused = next(((ref, number) for ref, number in found if said.covers(number)), None)
        if refused is None:
            continue
        strict = fails is MutualTlsMode.STRICT
        taken = "mutual TLS only, as PeerAuthentication demands" if strict else "no mutual TLS"
        yield finding(
            row.meta.ref,
            (*said.path, "tls"),
            code=Code.MTLS_POLICY_CONFLICT,
            message=f"port {refused[1]} of {refused[0].host} takes {taken}; requests of mode {said.mode} fail",
            fix="remove tls: then each endpoint is called as it wants to be"
            + (", or write mode: ISTIO_MUTUAL" if strict else ", or write mode: DISABLE"),
        )


def _modes(rule: DestinationRule) -> Iterator[_Said]:
    policies: list[tuple[Path, Labels]] = [(("trafficPolicy",), ())]
    policies += [(("subsets", i, "trafficPolicy"), labels_of(s.labels)) for i, s in enumerate(rule.subsets)]
    found = (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets))
    for (path, labels), policy in zip(policies, found, strict=True):
        if policy is None:
            continue
        if policy.tls is not None:
            # A port level replaces the whole policy above it, also where it says nothing of TLS.
            apart = frozenset(level.port.number for level in policy.port_level_settings)
            yield _Said(path=path, mode=policy.tls.mode, but=apart, labels=labels)
        for index, level in enumerate(policy.port_level_settings):
            if level.tls is not None:
                where = (*path, "portLevelSettings", index)
                yield _Said(path=where, mode=level.tls.mode, only=level.port.number, labels=labels)


@query
def modes_taken(db: Registry, ref: ServiceRef, labels: Labels) -> tuple[tuple[int, MutualTlsMode], ...]:
    """(service port, mode) of the service's pods with these labels, each once."""
    found = service(db, ref)
    return tuple(
        sorted(
            {
                (port.number, mutual_tls_mode(db, pod.namespace, pod.labels, number))
                for pod in service_workloads(db, ref)
                if selects(dict(labels), pod.labels)
                for port in (found.ports if found else ())
                if (number := target_port(port, pod.ports)) is not None
            }
        )
    )
