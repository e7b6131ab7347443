"""RBAC filters: one form of rules for HTTP requests and for TCP connections.

The two filters read the same `config.rbac.v3.RBAC`. A condition becomes a principal or a permission by the half of the
policy that it stands in; a few kinds exist in one half only, and the views put them there.
"""

from collections.abc import Iterable
from typing import Final

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal, SourcedMetadata
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network
from envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2 import UriTemplateMatchConfig
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.path_pb2 import PathMatcher
from envoy.type.matcher.v3.value_pb2 import ListMatcher, ValueMatcher

from weft_core.ir import rbac as ir
from weft_xds.build.address import build_cidr
from weft_xds.build.extension import packed
from weft_xds.build.string_match import build_string_match

TCP_STAT_PREFIX: Final = "tcp."
URI_TEMPLATE_MATCHER: Final = "envoy.path.match.uri_template.uri_template_matcher"

_ACTIONS: Final = {ir.RbacAction.ALLOW: RBAC.ALLOW, ir.RbacAction.DENY: RBAC.DENY, ir.RbacAction.LOG: RBAC.LOG}
_TRIAL_PREFIXES: Final = {
    ir.RbacAction.ALLOW: "istio_dry_run_allow_",
    ir.RbacAction.DENY: "istio_dry_run_deny_",
    ir.RbacAction.LOG: "",
}


def build_http_rbac(rbac: ir.Rbac) -> http.RBAC:
    """The HTTP filter: what is refused gets 403 and `RBAC: access denied`."""
    return http.RBAC(
        rules=_rules(rbac.action, rbac.enforced),
        shadow_rules=_rules(rbac.action, rbac.trial),
        shadow_rules_stat_prefix=_TRIAL_PREFIXES[rbac.action],
    )


def build_network_rbac(rbac: ir.Rbac) -> network.RBAC:
    """The network filter: what is refused is closed."""
    return network.RBAC(
        rules=_rules(rbac.action, rbac.enforced),
        shadow_rules=_rules(rbac.action, rbac.trial),
        shadow_rules_stat_prefix=_TRIAL_PREFIXES[rbac.action],
        stat_prefix=TCP_STAT_PREFIX,
    )


def build_principal(condition: ir.Condition) -> Principal:
    """A condition on who asks."""
    match condition:
        case ir.Anything():
            return Principal(any=True)
        case ir.AllOf(conditions):
            return _all_principals([build_principal(c) for c in conditions])
        case ir.AnyOf(conditions):
            return _any_principal([build_principal(c) for c in conditions])
        case ir.Not(inner):
            return Principal(not_id=build_principal(inner))
        case ir.PeerName(matcher):
            return Principal(authenticated=Principal.Authenticated(principal_name=build_string_match(matcher)))
        case ir.DirectRemoteIp(block):
            return Principal(direct_remote_ip=build_cidr(block))
        case ir.RemoteIp(block):
            return Principal(remote_ip=build_cidr(block))
        case ir.Header():
            return Principal(header=_header(condition))
        case ir.UrlPath(matcher):
            return Principal(url_path=PathMatcher(path=build_string_match(matcher)))
        case ir.Metadata():
            return Principal(sourced_metadata=_metadata(condition))
        case _:
            raise TypeError(f"{condition} says nothing of who asks")


def build_permission(condition: ir.Condition) -> Permission:
    """A condition on what is asked for."""
    match condition:
        case ir.Anything():
            return Permission(any=True)
        case ir.AllOf(conditions):
            return _all_permissions([build_permission(c) for c in conditions])
        case ir.AnyOf(conditions):
            return _any_permission([build_permission(c) for c in conditions])
        case ir.Not(inner):
            return Permission(not_rule=build_permission(inner))
        case ir.DestinationIp(block):
            return Permission(destination_ip=build_cidr(block))
        case ir.DestinationPort(port):
            return Permission(destination_port=port)
        case ir.RequestedServerName(matcher):
            return Permission(requested_server_name=build_string_match(matcher))
        case ir.Header():
            return Permission(header=_header(condition))
        case ir.UrlPath(matcher):
            return Permission(url_path=PathMatcher(path=build_string_match(matcher)))
        case ir.UriTemplate(template):
            config = packed(UriTemplateMatchConfig(path_template=template))
            return Permission(uri_template=TypedExtensionConfig(name=URI_TEMPLATE_MATCHER, typed_config=config))
        case ir.Metadata():
            return Permission(sourced_metadata=_metadata(condition))
        case _:
            raise TypeError(f"{condition} says nothing of what is asked for")


def _rules(action: ir.RbacAction, policies: Iterable[ir.RbacPolicy] | None) -> RBAC | None:
    """No rules (None) let everything pass; rules without policies refuse everything, under ALLOW."""
    if policies is None:
        return None
    return RBAC(
        action=_ACTIONS[action],
        policies={
            policy.name: Policy(
                permissions=[build_permission(policy.permission)], principals=[build_principal(policy.principal)]
            )
            for policy in policies
        },
    )


def _all_principals(found: list[Principal]) -> Principal:
    # Envoy refuses empty sets, and a set of one only costs bytes.
    if not found:
        return Principal(any=True)
    return found[0] if len(found) == 1 else Principal(and_ids=Principal.Set(ids=found))


def _any_principal(found: list[Principal]) -> Principal:
    if not found:
        return Principal(not_id=Principal(any=True))
    return found[0] if len(found) == 1 else Principal(or_ids=Principal.Set(ids=found))


def _all_permissions(found: list[Permission]) -> Permission:
    if not found:
        return Permission(any=True)
    return found[0] if len(found) == 1 else Permission(and_rules=Permission.Set(rules=found))


def _any_permission(found: list[Permission]) -> Permission:
    if not found:
        return Permission(not_rule=Permission(any=True))
    return found[0] if len(found) == 1 else Permission(or_rules=Permission.Set(rules=found))


def _header(condition: ir.Header) -> HeaderMatcher:
    if condition.matcher is None:
        return HeaderMatcher(name=condition.name, present_match=True)
    return HeaderMatcher(name=condition.name, string_match=build_string_match(condition.matcher))


def _metadata(condition: ir.Metadata) -> SourcedMetadata:
    value = ValueMatcher(string_match=build_string_match(condition.matcher))
    if condition.in_list:
        value = ValueMatcher(list_match=ListMatcher(one_of=value))
    path = [MetadataMatcher.PathSegment(key=key) for key in condition.path]
    return SourcedMetadata(metadata_matcher=MetadataMatcher(filter=condition.filter, path=path, value=value))
