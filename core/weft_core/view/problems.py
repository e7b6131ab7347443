"""All problems of all objects: one query for each object, so that a change re-checks only what it concerns."""

from collections.abc import Iterator
from typing import Any

from weft_core.graph import Table, query
from weft_core.graph.engine import Query
from weft_core.problems import Problem, by_severity
from weft_core.registry import Registry
from weft_core.view.authorization_problems import authorization_policy_problems
from weft_core.view.client_secrets import credential_problems
from weft_core.view.destination_rule_problems import destination_rule_problems
from weft_core.view.gateway_problems import gateway_problems
from weft_core.view.guard_problems import guard_problems
from weft_core.view.peer_authentication_problems import peer_authentication_problems
from weft_core.view.request_authentication_problems import request_authentication_problems
from weft_core.view.service_entry_problems import service_entry_problems, workload_entry_problems
from weft_core.view.service_problems import service_problems
from weft_core.view.sidecar_problems import sidecar_problems
from weft_core.view.virtual_service_problems import virtual_service_problems

Check = Query[[Any], tuple[Problem, ...]]
"""All findings of one sort about one object, by its key in the table."""


def checks(db: Registry) -> Iterator[tuple[Table[Any, Any], Check]]:
    """The tables of objects that findings are about, with what finds them."""
    yield db.virtual_services, virtual_service_problems
    yield db.destination_rules, destination_rule_problems
    yield db.destination_rules, credential_problems
    yield db.gateways, gateway_problems
    yield db.service_entries, service_entry_problems
    yield db.workload_entries, workload_entry_problems
    yield db.sidecars, sidecar_problems
    yield db.peer_authentications, peer_authentication_problems
    yield db.request_authentications, request_authentication_problems
    yield db.authorization_policies, authorization_policy_problems
    yield db.unreadable_policies, guard_problems
    yield db.services, service_problems


@query
def all_problems(db: Registry) -> tuple[Problem, ...]:
    """Everything that is wrong with valid objects: what they refer to, and what they do to each other."""
    return by_severity(problem for table, check in checks(db) for key in table.all_keys() for problem in check(db, key))
