"""Policies on a machine that several proxies share, where a port's traffic arrives on another one.

People write the workload's port in their policies; Envoy compares the one that the connection was made to.
"""

from dataclasses import replace

from weft_core.ir.rbac import AllOf, AnyOf, Condition, DestinationPort, Not, Rbac, RbacPolicy
from weft_core.proxy import LocalPorts


def localised(rbac: Rbac, local: LocalPorts | None) -> Rbac:
    """The filter as this proxy has to check it; unchanged in a pod."""
    if local is None:
        return rbac
    return replace(rbac, enforced=_policies(rbac.enforced, local), trial=_policies(rbac.trial, local))


def _policies(policies: tuple[RbacPolicy, ...] | None, local: LocalPorts) -> tuple[RbacPolicy, ...] | None:
    if policies is None:
        return None
    return tuple(replace(policy, permission=_condition(policy.permission, local)) for policy in policies)


def _condition(condition: Condition, local: LocalPorts) -> Condition:
    match condition:
        case DestinationPort(port):
            return DestinationPort(local.inbound_port(port) or port)
        case AllOf(conditions):
            return AllOf(tuple(_condition(each, local) for each in conditions))
        case AnyOf(conditions):
            return AnyOf(tuple(_condition(each, local) for each in conditions))
        case Not(inner):
            return Not(_condition(inner, local))
        case _:
            return condition
