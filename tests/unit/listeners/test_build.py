"""Listeners and their filters as Envoy's messages: what the intermediate form leaves open."""

import pytest
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2 import Config
from google.protobuf.message import Message

from weft_core.ir.authn import JwtAuthn, JwtProvider
from weft_core.ir.http import HttpConnectionManager, InboundRoute, PathNormalization, RouteName, Router
from weft_core.ir.listener import (
    Address,
    Direction,
    FilterChain,
    Inspection,
    Listener,
    ListenerFilter,
    TcpProxy,
    UpstreamAlpn,
)
from weft_core.ir.rbac import (
    NOTHING,
    AllOf,
    Anything,
    Condition,
    DestinationPort,
    DirectRemoteIp,
    Header,
    Metadata,
    Rbac,
    RbacAction,
    RbacPolicy,
    UrlPath,
)
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_xds.build.filter_chain import build_filter_chain
from weft_xds.build.http_connection_manager import build_http_connection_manager
from weft_xds.build.inbound_route import build_inbound_route
from weft_xds.build.jwt import build_jwt_authn
from weft_xds.build.listener import build_listener
from weft_xds.build.rbac import build_http_rbac, build_network_rbac, build_permission, build_principal
from weft_xds.build.tcp_proxy import build_tcp_proxy

RULE = RbacPolicy(name="b", principal=Anything(), permission=Anything())
TCP = TcpProxy(stat_prefix="a", clusters=(("a", 1),))


def listener(*filters: ListenerFilter, bind: bool = True) -> Listener:
    return Listener(
        name="a",
        addresses=(Address("127.0.0.1", 1), Address("127.0.0.1", 2)),
        direction=Direction.INBOUND,
        bind=bind,
        listener_filters=filters,
        filter_chains=(FilterChain(name="a", filters=(TCP,)),),
    )


def test_no_rules_and_rules_that_refuse_everything_are_different_things() -> None:
    """An RBAC message without rules lets all pass; one with empty rules, under ALLOW, lets nothing pass."""
    assert not build_http_rbac(Rbac(action=RbacAction.ALLOW, trial=(RULE,))).HasField("rules")
    assert build_http_rbac(Rbac(action=RbacAction.ALLOW, enforced=())).HasField("rules")
    assert build_network_rbac(Rbac(action=RbacAction.ALLOW, enforced=())).HasField("rules")


def test_dry_runs_have_istios_statistics() -> None:
    allow, deny = (build_http_rbac(Rbac(action=a, trial=(RULE,))) for a in (RbacAction.ALLOW, RbacAction.DENY))
    assert (allow.shadow_rules_stat_prefix, deny.shadow_rules_stat_prefix) == (
        "istio_dry_run_allow_",
        "istio_dry_run_deny_",
    )
    assert allow.shadow_rules.action == RBAC.ALLOW


def test_one_form_of_rules_serves_http_and_tcp() -> None:
    rbac = Rbac(action=RbacAction.DENY, enforced=(RULE,))
    assert build_http_rbac(rbac).rules == build_network_rbac(rbac).rules
    assert build_network_rbac(rbac).stat_prefix == "tcp."


def test_policies_in_any_order_have_the_same_bytes() -> None:
    one, other = RULE, RbacPolicy(name="a", principal=NOTHING, permission=Anything())
    chains = [
        FilterChain(name="x", filters=(Rbac(action=RbacAction.DENY, enforced=policies), TCP))
        for policies in ((one, other), (other, one))
    ]
    first, second = (build_filter_chain(chain).SerializeToString(deterministic=True) for chain in chains)
    assert first == second


def test_empty_sets_which_envoy_refuses_become_their_meaning() -> None:
    assert build_principal(NOTHING).not_id.any
    assert build_permission(NOTHING).not_rule.any
    assert build_principal(AllOf(())).any
    assert build_permission(AllOf(())).any


@pytest.mark.parametrize("condition", [Header("a", None), UrlPath(StringMatch(MatchKind.EXACT, "/a"))])
def test_conditions_of_both_halves(condition: Condition) -> None:
    principal, permission = build_principal(condition), build_permission(condition)
    assert principal.WhichOneof("identifier") == permission.WhichOneof("rule")


def test_conditions_of_the_wrong_half_are_a_programmers_fault() -> None:
    with pytest.raises(TypeError, match="who asks"):
        build_principal(DestinationPort(1))
    with pytest.raises(TypeError, match="what is asked for"):
        build_permission(DirectRemoteIp("10.0.0.1"))


def test_metadata_in_lists() -> None:
    found = build_principal(Metadata("f", ("a", "b"), StringMatch(MatchKind.EXACT, "c"), in_list=True))
    matcher = found.sourced_metadata.metadata_matcher
    assert [segment.key for segment in matcher.path] == ["a", "b"]
    assert matcher.value.list_match.one_of.string_match.exact == "c"


@pytest.mark.parametrize(("block", "expected"), [("10.0.0.1", 32), ("10.0.0.0/0", 0), ("::1", 128), ("fd00::/8", 8)])
def test_an_address_alone_is_a_block_of_one(block: str, expected: int) -> None:
    assert build_principal(DirectRemoteIp(block)).direct_remote_ip.prefix_len.value == expected


def test_one_valid_token_suffices_and_no_token_passes() -> None:
    providers = tuple(JwtProvider(issuer=issuer, jwks="{}") for issuer in ("a", "b"))
    single, several = (
        build_jwt_authn(JwtAuthn(providers=p)).rules[0].requires.requires_any for p in (providers[:1], providers)
    )
    assert [r.WhichOneof("requires_type") for r in single.requirements] == ["provider_name", "allow_missing"]
    assert [r.WhichOneof("requires_type") for r in several.requirements] == [
        "provider_name",
        "provider_name",
        "requires_all",
    ]
    assert len(several.requirements[2].requires_all.requirements) == 2


def test_inbound_routes_have_no_time_limit() -> None:
    route = build_inbound_route(InboundRoute(cluster="c", virtual_host="v", operation="o", retry=False))
    action = route.virtual_hosts[0].routes[0].route
    assert (action.HasField("timeout"), action.timeout.ToTimedelta().total_seconds()) == (True, 0)
    assert not action.HasField("retry_policy")


@pytest.mark.parametrize("wanted", PathNormalization)
def test_path_normalization(wanted: PathNormalization) -> None:
    manager = build_http_connection_manager(
        HttpConnectionManager(stat_prefix="a", route=RouteName("r"), filters=(Router(),), path_normalization=wanted)
    )
    assert manager.normalize_path.value is (wanted is not PathNormalization.NONE)
    assert manager.merge_slashes is ("MERGE_SLASHES" in wanted.name)
    assert bool(manager.path_with_escaped_slashes_action) is (wanted is PathNormalization.DECODE_AND_MERGE_SLASHES)


def test_weights_only_where_there_is_a_choice() -> None:
    assert build_tcp_proxy(TCP).cluster == "a"
    split = build_tcp_proxy(TcpProxy(stat_prefix="a", clusters=(("a", 1), ("b", 2)), hash_source_ip=True))
    assert [(c.name, c.weight) for c in split.weighted_clusters.clusters] == [("a", 1), ("b", 2)]
    assert split.hash_policy[0].HasField("source_ip")


def test_upstream_alpn_is_shared_with_this_connections_upstream_only() -> None:
    chain = build_filter_chain(FilterChain(name="a", filters=(UpstreamAlpn(("x", "y")), TCP)))
    config = unpacked(chain.filters[0].typed_config.value, Config())
    (value,) = config.on_new_connection
    assert value.object_key == "envoy.network.application_protocols"
    assert value.format_string.text_format_source.inline_string == "x,y"
    assert value.shared_with_upstream == value.ONCE


def unpacked(data: bytes, message: Config) -> Config:
    message.ParseFromString(data)
    return message


def test_further_addresses_have_the_same_chains() -> None:
    built = build_listener(listener())
    assert built.address.socket_address.port_value == 1
    assert [each.address.socket_address.port_value for each in built.additional_addresses] == [2]
    assert not built.HasField("bind_to_port")
    assert build_listener(listener(bind=False)).HasField("bind_to_port")


@pytest.mark.parametrize(("ports", "rule"), [((), None), ((1,), "destination_port_range"), ((1, 2), "or_match")])
def test_inspections_are_disabled_by_port(ports: tuple[int, ...], rule: str | None) -> None:
    (built,) = build_listener(listener(ListenerFilter(Inspection.TLS, ports))).listener_filters
    predicate: Message = built.filter_disabled
    assert predicate.WhichOneof("rule") == rule
