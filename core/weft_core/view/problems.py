"""All problems of all objects: one query for each object, so that a change re-checks only what it concerns."""

from weft_core.graph import query
from weft_core.problems import Problem, by_severity
from weft_core.registry import Registry
from weft_core.view.authorization_problems import authorization_policy_problems
from weft_core.view.client_secrets import credential_problems
from weft_core.view.destination_rule_problems import destination_rule_problems
from weft_core.view.gateway_problems import gateway_problems
from weft_core.view.peer_authentication_problems import peer_authentication_problems
from weft_core.view.request_authentication_problems import request_authentication_problems
from weft_core.view.service_entry_problems import service_entry_problems, workload_entry_problems
from weft_core.view.service_problems import service_problems
from weft_core.view.sidecar_problems import sidecar_problems
from weft_core.view.virtual_service_problems import virtual_service_problems


@query
def all_problems(db: Registry) -> tuple[Problem, ...]:
    """Everything that is wrong with valid objects: what they refer to, and what they do to each other."""
    found: list[Problem] = []
    for keys, check in (
        (db.virtual_services.all_keys(), virtual_service_problems),
        (db.destination_rules.all_keys(), destination_rule_problems),
        (db.destination_rules.all_keys(), credential_problems),
        (db.gateways.all_keys(), gateway_problems),
        (db.service_entries.all_keys(), service_entry_problems),
        (db.workload_entries.all_keys(), workload_entry_problems),
        (db.sidecars.all_keys(), sidecar_problems),
        (db.peer_authentications.all_keys(), peer_authentication_problems),
        (db.request_authentications.all_keys(), request_authentication_problems),
        (db.authorization_policies.all_keys(), authorization_policy_problems),
        (db.services.all_keys(), service_problems),
    ):
        for key in keys:
            found += check(db, key)
    return by_severity(found)
