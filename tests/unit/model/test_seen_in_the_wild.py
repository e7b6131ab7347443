"""Mistakes that people really make: each names the field's exact path and what to write instead."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

Errors = Callable[[str, str], list[tuple[str, str, str]]]
Warnings = Callable[[str, str], list[tuple[str, str, str]]]
VS = "VirtualService"
AP = "AuthorizationPolicy"


def located(found: list[tuple[str, str, str]]) -> dict[str, str]:
    return {path: fix for path, _message, fix in found}


def test_timeout_beside_http_belongs_into_the_rule(errors: Errors) -> None:
    spec = "{hosts: [reviews], timeout: 1s, http: [{route: [{destination: {host: reviews}}]}]}"
    assert errors(VS, spec) == [
        ("spec.timeout", "unknown field `timeout`", "move it to spec.http[].timeout, beside `route`")
    ]


def test_timeout_inside_of_a_route_destination_belongs_beside_route(errors: Errors) -> None:
    spec = "{hosts: [reviews], http: [{route: [{destination: {host: reviews}, timeout: 1s}]}]}"
    assert errors(VS, spec) == [
        ("spec.http[0].route[0].timeout", "unknown field `timeout`", "move it to spec.http[0].timeout, beside `route`")
    ]


def test_timeout_inside_of_destination_belongs_beside_route(errors: Errors) -> None:
    spec = "{hosts: [reviews], http: [{route: [{destination: {host: reviews, timeout: 1s}}]}]}"
    assert located(errors(VS, spec)) == {
        "spec.http[0].route[0].destination.timeout": "move it to spec.http[0].timeout, beside `route`"
    }


def test_http_as_a_map_is_told_to_be_a_list_and_what_is_inside_is_checked_too(errors: Errors) -> None:
    spec = "{hosts: [reviews], http: {route: [{destination: {host: reviews}, timeout: 1s}]}}"
    assert errors(VS, spec) == [
        ("spec.http", "`http` is a list, and this is a map", "begin each entry with a hyphen: `- route: …`"),
        ("spec.http.route[0].timeout", "unknown field `timeout`", "move it to spec.http[].timeout, beside `route`"),
    ]


def test_route_as_a_map_with_a_timeout_in_it(errors: Errors) -> None:
    spec = "{hosts: [reviews], http: [{route: {destination: {host: reviews}, timeout: 1s}}]}"
    assert located(errors(VS, spec)) == {
        "spec.http[0].route": "begin each entry with a hyphen: `- destination: …`",
        "spec.http[0].route.timeout": "move it to spec.http[0].timeout, beside `route`",
    }


def test_http_and_route_as_maps_name_all_three_slips(errors: Errors) -> None:
    spec = "{hosts: [reviews], http: {route: {destination: {host: reviews}, timeout: 1s}}}"
    assert located(errors(VS, spec)) == {
        "spec.http": "begin each entry with a hyphen: `- route: …`",
        "spec.http.route": "begin each entry with a hyphen: `- destination: …`",
        "spec.http.route.timeout": "move it to spec.http[].timeout, beside `route`",
    }


def test_source_ns_is_source_namespaces(errors: Errors) -> None:
    assert errors(AP, "{rules: [{from: [{source_ns: [shop]}]}]}") == [
        (
            "spec.rules[0].from[0].source_ns",
            "unknown field `source_ns`",
            "write spec.rules[0].from[0].source.namespaces",
        )
    ]


def test_source_ns_below_source_is_namespaces(errors: Errors) -> None:
    assert located(errors(AP, "{rules: [{from: [{source: {source_ns: [shop]}}]}]}")) == {
        "spec.rules[0].from[0].source.source_ns": "write spec.rules[0].from[0].source.namespaces"
    }


def test_operation_under_from_belongs_under_to(errors: Errors) -> None:
    spec = "{action: DENY, rules: [{from: [{source: {namespaces: [shop]}, operation: {methods: [GET]}}]}]}"
    assert errors(AP, spec) == [
        (
            "spec.rules[0].from[0].operation",
            "unknown field `operation`",
            "move it to spec.rules[0].to[].operation",
        )
    ]


def test_operation_alone_under_from_does_not_also_complain_about_the_missing_source(errors: Errors) -> None:
    assert located(errors(AP, "{rules: [{from: [{operation: {methods: [GET]}}]}]}")) == {
        "spec.rules[0].from[0].operation": "move it to spec.rules[0].to[].operation"
    }


def test_path_under_from_belongs_under_to_operation_paths(errors: Errors) -> None:
    assert located(errors(AP, "{rules: [{from: [{path: /admin}, {source: {path: [/x]}}]}]}")) == {
        "spec.rules[0].from[0].path": "move it to spec.rules[0].to[].operation.paths",
        "spec.rules[0].from[1].source.path": "move it to spec.rules[0].to[].operation.paths",
    }


def test_action_inside_of_a_rule_belongs_to_spec(errors: Errors) -> None:
    assert errors(AP, "{rules: [{action: DENY, from: [{source: {namespaces: [shop]}}]}]}") == [
        ("spec.rules[0].action", "unknown field `action`", "move it to spec.action")
    ]


def test_an_unknown_field_in_a_security_policy_is_never_ignored(errors: Errors) -> None:
    for kind in ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"):
        assert [path for path, *_ in errors(kind, "{frobnicate: true}")] == ["spec.frobnicate"]


def test_header_match_without_matcher(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{match: [{headers: {end-user: jason}}], route: [{destination: {host: r}}]}]}"
    assert errors(VS, spec) == [
        (
            "spec.http[0].match[0].headers.end-user",
            "`end-user` has a value and no matcher",
            "write `end-user: {exact: jason}` (or prefix, regex)",
        )
    ]


def test_header_match_without_header_name(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{match: [{headers: {exact: jason}}], route: [{destination: {host: r}}]}]}"
    assert located(errors(VS, spec)) == {
        "spec.http[0].match[0].headers.exact": "write the name first: `NAME: {exact: jason}`"
    }


def test_uri_match_without_matcher(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{match: [{uri: /api}], route: [{destination: {host: r}}]}]}"
    assert located(errors(VS, spec)) == {"spec.http[0].match[0].uri": "write `uri: {exact: /api}` (or prefix, regex)"}


def test_consecutive_errors_is_accepted_and_its_successor_named(warnings: Warnings) -> None:
    spec = "{host: r, trafficPolicy: {outlierDetection: {consecutiveErrors: 3}}}"
    assert warnings("DestinationRule", spec) == [
        ("spec.trafficPolicy.outlierDetection.consecutiveErrors", "IST0002", "write consecutive5xxErrors: 3")
    ]


def test_weight_as_text(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{route: [{destination: {host: r}, weight: '80'}]}]}"
    assert errors(VS, spec) == [
        ("spec.http[0].route[0].weight", "`80` is text, and a number is meant", "write 80 without quotes")
    ]


def test_weight_with_a_percent_sign(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{route: [{destination: {host: r}, weight: 80%}]}]}"
    assert located(errors(VS, spec)) == {"spec.http[0].route[0].weight": "write 80"}


def test_a_duration_without_unit(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{timeout: 5, route: [{destination: {host: r}}]}]}"
    assert errors(VS, spec) == [
        ("spec.http[0].timeout", "5 is a number without a unit", 'write "5s" for seconds, or with ms, m or h')
    ]


def test_snake_case_field_names(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{retries: {attempts: 2, per_try_timeout: 1s}, route: [{destination: {host: r}}]}]}"
    assert located(errors(VS, spec)) == {"spec.http[0].retries.per_try_timeout": "write `perTryTimeout`"}


def test_a_misspelt_field_names_the_nearest_one(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{retires: {attempts: 2}, route: [{destination: {host: r}}]}]}"
    assert located(errors(VS, spec)) == {"spec.http[0].retires": "write `retries`"}


def test_an_enum_in_the_wrong_case(errors: Errors) -> None:
    assert errors("PeerAuthentication", "{mtls: {mode: strict}}") == [
        (
            "spec.mtls.mode",
            "`strict` is not one of UNSET, DISABLE, PERMISSIVE, STRICT",
            "write STRICT",
        )
    ]


def test_an_enum_with_hyphens(errors: Errors) -> None:
    spec = "{host: r, trafficPolicy: {loadBalancer: {simple: round-robin}}}"
    assert located(errors("DestinationRule", spec)) == {"spec.trafficPolicy.loadBalancer.simple": "write ROUND_ROBIN"}


def test_yaml_turns_an_unquoted_word_into_a_boolean(errors: Errors) -> None:
    spec = "{hosts: [r], http: [{match: [{headers: {beta: {exact: on}}}], route: [{destination: {host: r}}]}]}"
    [(path, message, fix)] = errors(VS, spec)
    assert path == "spec.http[0].match[0].headers.beta.exact"
    assert "boolean" in message
    assert fix == 'put it in quotes: "true"'


def test_a_number_where_text_is_meant(errors: Errors) -> None:
    spec = "{host: r, subsets: [{name: v1, labels: {version: 1}}]}"
    assert located(errors("DestinationRule", spec)) == {"spec.subsets[0].labels.version": 'put it in quotes: "1"'}


def test_a_port_in_a_policy_is_text(errors: Errors) -> None:
    assert located(errors(AP, "{rules: [{to: [{operation: {ports: [8080]}}]}]}")) == {
        "spec.rules[0].to[0].operation.ports[0]": 'put it in quotes: "8080"'
    }


def test_connection_limits_one_level_too_high(errors: Errors) -> None:
    spec = "{host: r, trafficPolicy: {connectionPool: {maxConnections: 1, http1MaxPendingRequests: 1}}}"
    assert located(errors("DestinationRule", spec)) == {
        "spec.trafficPolicy.connectionPool.maxConnections": "move it to spec.trafficPolicy.connectionPool.tcp.maxConnections",
        "spec.trafficPolicy.connectionPool.http1MaxPendingRequests": (
            "move it to spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests"
        ),
    }


def test_a_single_value_where_a_list_is_meant(errors: Errors) -> None:
    spec = "{hosts: reviews, http: [{route: [{destination: {host: r}}]}]}"
    assert errors(VS, spec) == [("spec.hosts", "`hosts` is a list, and this is text", "write [reviews]")]


def test_a_field_without_value_is_an_error_and_not_absent(errors: Errors) -> None:
    assert errors(AP, "{rules: [{from: }]}") == [
        ("spec.rules[0].from", "the field has no value", "write a value, or remove it")
    ]


def test_selectors_of_the_two_api_groups_are_told_apart(errors: Errors) -> None:
    assert located(errors(AP, "{selector: {labels: {app: a}}}")) == {"spec.selector.labels": "write `matchLabels`"}
    assert located(errors(AP, "{selector: {app: a}}")) == {
        "spec.selector.app": "write `matchLabels` and put `app` below it"
    }
    assert located(errors("Sidecar", "{workloadSelector: {matchLabels: {app: a}}}")) == {
        "spec.workloadSelector.matchLabels": "write `labels`"
    }
