"""Selecting by labels: which rules single out workloads, and by which label keys.

A proxy is reduced to the labels that some rule could select on; pods that differ in `pod-template-hash` alone share
all.
"""

from collections.abc import Iterable, Mapping

from weft_core.graph import query
from weft_core.ir.service import Labels
from weft_core.registry import Key, Registry


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """A mapping as sorted pairs."""
    return tuple(sorted(mapping.items()))


def selects(selector: Mapping[str, str], labels: Labels) -> bool:
    """Whether all of the selector's pairs are among the labels; an empty selector selects everything."""
    have = dict(labels)
    return all(have.get(key) == value for key, value in selector.items())


def project(labels: Labels, keys: Iterable[str]) -> Labels:
    """The labels with these keys only."""
    wanted = frozenset(keys)
    return tuple(pair for pair in labels if pair[0] in wanted)


@query
def client_label_keys(db: Registry) -> frozenset[str]:
    """Label keys that decide what a client is sent: `sourceLabels` and workload selectors of DestinationRules."""
    found: set[str] = set()
    for key in db.virtual_services.all_keys():
        found |= _source_label_keys(db, key)
    for key in db.destination_rules.all_keys():
        found |= _rule_selector_keys(db, key)
    return frozenset(found)


@query
def _source_label_keys(db: Registry, key: Key) -> frozenset[str]:
    config = db.virtual_services.get(key)
    if config is None:
        return frozenset()
    spec = config.spec
    sources = (
        *(match.source_labels for http in spec.http for match in http.match),
        *(match.source_labels for tls in spec.tls for match in tls.match),
        *(match.source_labels for tcp in spec.tcp for match in tcp.match),
    )
    return frozenset(name for labels in sources for name in labels)


@query
def _rule_selector_keys(db: Registry, key: Key) -> frozenset[str]:
    config = db.destination_rules.get(key)
    if config is None or config.spec.workload_selector is None:
        return frozenset()
    return frozenset(config.spec.workload_selector.match_labels)
