"""RBAC: what the chart grants is the table of docs/cluster.md, right by right, under every set of values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs/cluster.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one resource, of one name or of all."""

    where: str
    group: str
    resource: str
    name: str
    verb: str


def rows() -> Iterator[tuple[str, frozenset[Right]]]:
    """The table's rows: when they hold, and the rights of each."""
    table = DOCUMENT.read_text().split("## Rights")[1].split("\n## ")[0]
    for line in table.splitlines():
        if not line.startswith(("| cluster ", "| own namespace ")):
            continue
        where, group, resources, names, verbs, when, why = (cell.strip() for cell in line.strip("|").split("|"))
        assert why, line
        yield (
            when,
            frozenset(
                Right(where=where, group=group, resource=resource, name=name, verb=verb)
                for resource in resources.split(", ")
                for name in names.split(", ")
                for verb in verbs.split(", ")
            ),
        )


def granted(documents: list[Any], namespace: str, name: str) -> set[Right]:
    """The rights of the rendered roles, with names as the table writes them."""
    names = {f"{name}-{namespace}": "NAME-NAMESPACE", name: "NAME"}
    return {
        Right(
            where="cluster" if document["kind"] == "ClusterRole" else "own namespace",
            group=group,
            resource=resource,
            name=names.get(found, found),
            verb=verb,
        )
        for document in documents
        if document["kind"] in {"ClusterRole", "Role"} and not document["metadata"]["name"].endswith("-credentials")
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for found in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


ALWAYS = {"always"}
CREDENTIALS = {"credentials.namespaces has `*`"}


@pytest.mark.parametrize(
    ("values", "when"),
    [
        ({}, {"operator", "injector"} | CREDENTIALS),
        ({"revision": "canary"}, {"operator", "injector"} | CREDENTIALS),
        ({"certificates": {"delivery": "secrets"}}, {"operator", "injector", "Secrets"} | CREDENTIALS),
        ({"credentials": {"namespaces": ["a", "b"]}}, {"operator", "injector"}),
        ({"validation": {"enabled": False}}, {"operator", "injector"} | CREDENTIALS),
        ({"roles": ["xds"]}, CREDENTIALS),
        ({"roles": ["operator"], "credentials": {"namespaces": []}}, {"operator"}),
        ({"roles": ["injector"], "credentials": {"namespaces": []}}, {"injector"}),
    ],
)
def test_the_chart_grants_what_the_table_says(documents: Callable[..., list[Any]], values: Any, when: set[str]) -> None:
    known = {condition for condition, _ in rows()}
    assert when <= known
    either = {"operator or injector"} if when & {"operator", "injector"} else set()
    expected = {right for condition, rights in rows() if condition in when | either | ALWAYS for right in rights}
    name = f"weft-{values['revision']}" if "revision" in values else "weft"
    assert granted(documents(values, namespace="mesh"), "mesh", name) == expected


def test_nothing_is_granted_by_a_wildcard(documents: Callable[..., list[Any]]) -> None:
    for right in granted(documents(), "weft-system", "weft"):
        assert "*" not in f"{right.group}{right.resource}{right.verb}"
        assert right.verb not in {"deletecollection", "bind", "escalate", "impersonate"}


def test_credentials_of_some_namespaces_are_read_there_alone(documents: Callable[..., list[Any]]) -> None:
    made = documents({"credentials": {"namespaces": ["ingress", "egress"]}})
    roles = [each for each in made if each["metadata"]["name"] == "weft-weft-system-credentials"]
    assert {(each["kind"], each["metadata"]["namespace"]) for each in roles} == {
        (kind, namespace) for kind in ("Role", "RoleBinding") for namespace in ("ingress", "egress")
    }
    for role in roles:
        if role["kind"] == "Role":
            assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    (container,) = next(each for each in made if each["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--credential-namespaces=ingress,egress" in container["args"]


def test_bindings_name_the_release_account(documents: Callable[..., list[Any]]) -> None:
    made = documents({"revision": "v2", "credentials": {"namespaces": ["ingress"]}}, namespace="mesh")
    bindings = [each for each in made if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    assert len(bindings) == 3
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "weft-v2", "namespace": "mesh"}]
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
