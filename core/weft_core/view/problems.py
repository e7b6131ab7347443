"""All problems of all objects: one query for each object, so that a change re-checks only what it concerns."""

from weft_core.graph import query
from weft_core.problems import Problem, by_severity
from weft_core.registry import Registry
from weft_core.view.authorization_problems import authorization_policy_problems
from weft_core.view.destination_rule_problems import destination_rule_problems
from weft_core.view.gateway_problems import gateway_problems
from weft_core.view.peer_authentication_problems import peer_authentication_problems
from weft_core.view.request_authentication_problems import request_authentication_problems
from weft_core.view.virtual_service_problems import virtual_service_problems


@query
def all_problems(db: Registry) -> tuple[Problem, ...]:
    """Everything that is wrong with valid objects: what they refer to, and what they do to each other."""
    found: list[Problem] = []
    for key in db.virtual_services.all_keys():
        found += virtual_service_problems(db, key)
    for key in db.destination_rules.all_keys():
        found += destination_rule_problems(db, key)
    for key in db.peer_authentications.all_keys():
        found += peer_authentication_problems(db, key)
    for key in db.gateways.all_keys():
        found += gateway_problems(db, key)
    for key in db.request_authentications.all_keys():
        found += request_authentication_problems(db, key)
    for key in db.authorization_policies.all_keys():
        found += authorization_policy_problems(db, key)
    return by_severity(found)
