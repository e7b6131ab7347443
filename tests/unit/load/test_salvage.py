"""Texts that are no YAML: whether they were security policies, and of which namespace."""

import pytest

from weft_core.load.folder import load_files
from weft_core.load.salvage import salvaged
from weft_core.load.yaml import load
from weft_core.model.guard import Guard
from weft_core.problems import ObjectRef

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: web
  namespace: shop
spec:
  rules:
  - from: [{source: {namespaces: [bank]}}]
    when: [{key: source.namespace, values: [other]}]
"""
WEB = ObjectRef(kind="AuthorizationPolicy", namespace="shop", name="web")


def refs(text: str) -> list[ObjectRef]:
    return [guard.ref for guard in salvaged(text, "default")]


@pytest.mark.parametrize(
    "text",
    [
        POLICY + "  selector: [\n",
        POLICY.replace("  namespace", "\tnamespace"),
        POLICY.replace("kind:", "kind"),
        POLICY.replace("name: web", 'name: "web"').replace("shop", "'shop'") + "}",
        "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: web, namespace: shop}",
        '{"kind": "AuthorizationPolicy", "metadata": {"name": "web", "namespace": "shop"}',
        '{\n  "kind": "AuthorizationPolicy",\n  "metadata": {\n    "name": "web",\n    "namespace": "shop"\n',
    ],
)
def test_kind_namespace_and_name_are_found_in_every_style(text: str) -> None:
    assert refs(text) == [WEB]
    assert load(text, "a.yaml").problems, "it is no YAML"


def test_what_is_not_said_is_the_default() -> None:
    assert refs("kind: PeerAuthentication\nspec: [") == [ObjectRef(kind="PeerAuthentication", namespace="default")]


def test_a_malformed_list_guards_all_kinds_and_namespaces_in_it() -> None:
    text = (
        "kind: List\nitems:\n- " + POLICY.replace("\n", "\n  ") + "\n- kind: PeerAuthentication\n  namespace: bank\n["
    )
    assert [(ref.kind, ref.namespace) for ref in refs(text)] == [
        (kind, namespace) for kind in ("AuthorizationPolicy", "PeerAuthentication") for namespace in ("shop", "bank")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "kind: VirtualService\nspec: [",
        "# kind: AuthorizationPolicy\nkind: Service\nspec: [",
        "text",
        "",
        "kind: X\n" * 9,
    ],
)
def test_other_texts_are_no_policies(text: str) -> None:
    assert refs(text) == []


@pytest.mark.parametrize("text", [POLICY + "  selector: [\n", POLICY + "  action: DENY\n  action: ALLOW\n"])
def test_files_with_such_texts_say_what_is_guarded_and_where(text: str) -> None:
    """Malformed, and ambiguous."""
    loaded = load_files([("a.yaml", "kind: Service\n---\n" + text)])
    (found,) = loaded.guarded.values()
    assert found.guard == Guard(ref=WEB)
    assert (found.source.file, found.source.line, found.salvaged) == ("a.yaml", 2, True)


def test_two_refused_policies_of_one_address_are_guarded_together() -> None:
    bad = POLICY + "  selector: {matchLabels: {app: web}}\n  frobnicate: true\n"
    same, other = (
        load_files([("a.yaml", bad), ("b.yaml", bad)]),
        load_files([("a.yaml", bad), ("b.yaml", bad + "  x: 1")]),
    )
    assert [each.guard.selector is not None for each in same.guarded.values()] == [True]
    assert same.guarded == other.guarded
    changed = load_files([("a.yaml", bad), ("b.yaml", bad.replace("app: web", "app: api"))])
    assert [each.guard for each in changed.guarded.values()] == [Guard(ref=WEB)]
