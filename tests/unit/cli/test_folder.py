"""A folder that is read again and again: whatever breaks keeps its last good version."""

from pathlib import Path
from typing import Any

import pytest

from weft_cli.folder import FolderSource, Loaded
from weft_core.graph import Table
from weft_core.ingest import replace_all
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source
from weft_core.registry import MESH, Registry, Settings
from weft_core.view.problems import all_problems

SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: example.org
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: shop}
spec: {action: DENY, rules: [{}]}
"""
MALFORMED = "metadata: [\n"
ROUTE = ("shop", "web")


class Mesh:
    """A folder, and the registry that is kept like it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = FolderSource([folder])
        self.registry = Registry(Settings(derive_endpoints=True))

    def read(self) -> Loaded:
        loaded = self.source.read()
        replace_all(self.registry, loaded.objects, mesh=loaded.mesh, held=loaded.held, guards=loaded.guards)
        return loaded

    def write(self, name: str, text: str) -> Loaded:
        (self.folder / name).write_text(text)
        return self.read()

    def rows(self) -> dict[object, object]:
        """All that is in force of the kinds in the folder."""
        db = self.registry
        tables: tuple[Table[Any, Any], ...] = (db.authorization_policies, db.virtual_services, db.services, db.pods)
        return {(number, key): table.peek(key) for number, table in enumerate(tables) for key in table}

    def trust_domain(self) -> str | None:
        mesh = self.registry.mesh_config.peek(MESH)
        return mesh.trust_domain if mesh else None


@pytest.fixture
def mesh(shop: Path) -> Mesh:
    """The shop with a policy and mesh-wide settings, read once."""
    (shop / "policy.yaml").write_text(POLICY)
    (shop / "settings.yaml").write_text(SETTINGS)
    made = Mesh(shop)
    assert made.read().problems == ()
    return made


def test_a_broken_object_stays_as_it_was_and_the_others_change(mesh: Mesh) -> None:
    routes = (mesh.folder / "routes.yaml").read_text()
    good = mesh.registry.virtual_services.peek(ROUTE)
    other = routes.replace("name: web,", "name: other,")
    loaded = mesh.write("routes.yaml", routes.replace("timeout: 2s", "timeout: fast") + "---\n" + other)
    assert [(p.code, p.source.line) for p in loaded.problems] == [(Code.SCHEMA_VALIDATION_ERROR, 7)]
    assert mesh.registry.virtual_services.peek(ROUTE) == good
    assert ("shop", "other") in mesh.registry.virtual_services


def test_a_broken_policy_stays_as_it_was(mesh: Mesh) -> None:
    good = mesh.registry.authorization_policies.peek(ROUTE)
    mesh.write("policy.yaml", POLICY.replace("DENY,", "DENY, frobnicate: true,"))
    assert good is not None
    assert mesh.registry.authorization_policies.peek(ROUTE) == good


def test_a_mended_object_comes_in_force(mesh: Mesh) -> None:
    routes = (mesh.folder / "routes.yaml").read_text()
    good = mesh.registry.virtual_services.peek(ROUTE)
    mesh.write("routes.yaml", routes.replace("timeout: 2s", "timeout: fast"))
    assert mesh.write("routes.yaml", routes.replace("timeout: 2s", "timeout: 3s")).problems == ()
    assert mesh.registry.virtual_services.peek(ROUTE) not in (good, None)


@pytest.mark.parametrize("name", ["policy.yaml", "routes.yaml"])
def test_a_broken_object_stays_also_when_its_file_becomes_no_yaml(mesh: Mesh, name: str) -> None:
    before = mesh.rows()
    text = (mesh.folder / name).read_text()
    mesh.write(name, text.replace("spec:", "spec: {frobnicate: true}\nold:"))
    mesh.write(name, MALFORMED)
    assert mesh.rows() == before


@pytest.mark.parametrize("name", ["policy.yaml", "routes.yaml", "shop.yaml"])
def test_the_objects_of_a_file_that_is_no_more_yaml_stay(mesh: Mesh, name: str) -> None:
    before = mesh.rows()
    for _ in range(2):
        [problem] = mesh.write(name, MALFORMED).problems
        assert (problem.code, problem.source.file) == (Code.MALFORMED_YAML, str(mesh.folder / name))
        assert mesh.rows() == before


def test_the_pods_of_a_broken_deployment_stay(mesh: Mesh) -> None:
    text = (mesh.folder / "shop.yaml").read_text()
    mesh.write("shop.yaml", text.replace("containers: [{name: web}]", "containers: 5"))
    assert list(mesh.registry.pods) == [("shop", "web-0")]


def test_of_a_half_malformed_file_what_can_be_read_changes(mesh: Mesh) -> None:
    text = (mesh.folder / "shop.yaml").read_text()
    mesh.write("shop.yaml", text.replace("port: 80", "port: 81").replace("spec:\n  selector", "spec: [\n  selector"))
    service = mesh.registry.services.peek(ROUTE)
    assert service is not None
    assert [port.port for port in service.spec.ports] == [81]
    assert list(mesh.registry.pods) == [("shop", "web-0")]


def test_what_was_removed_goes(mesh: Mesh) -> None:
    (mesh.folder / "policy.yaml").unlink()
    assert mesh.write("shop.yaml", (mesh.folder / "routes.yaml").read_text()).held == frozenset()
    assert list(mesh.registry.authorization_policies) == []
    assert list(mesh.registry.pods) == []


def test_a_malformed_file_that_is_removed_takes_its_objects_along(mesh: Mesh) -> None:
    mesh.write("policy.yaml", MALFORMED)
    (mesh.folder / "policy.yaml").unlink()
    assert mesh.read().held == frozenset()
    assert list(mesh.registry.authorization_policies) == []


@pytest.mark.parametrize(
    "broken",
    [SETTINGS.replace("example.org", "[]"), SETTINGS.replace("data:", "data: 5\nmore:"), MALFORMED],
    ids=["setting", "ConfigMap", "YAML"],
)
def test_broken_mesh_settings_stay_as_they_were(mesh: Mesh, broken: str) -> None:
    assert mesh.write("settings.yaml", broken).problems
    assert mesh.trust_domain() == "example.org"
    mesh.write("settings.yaml", SETTINGS.replace("example.org", "other.org"))
    assert mesh.trust_domain() == "other.org"


def test_without_the_config_map_the_settings_are_the_defaults(mesh: Mesh) -> None:
    (mesh.folder / "settings.yaml").unlink()
    mesh.read()
    assert mesh.trust_domain() is None


def test_broken_settings_of_a_file_stay_as_they_were(shop: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("trustDomain: example.org")
    source = FolderSource([shop], settings)
    good = source.read()
    settings.write_text("trustDomain: [")
    broken = source.read()
    assert (good.problems, len(broken.problems)) == ((), 1)
    assert broken.mesh == good.mesh is not None


def test_a_file_that_did_not_change_is_not_parsed_again(mesh: Mesh) -> None:
    before = {id(item) for item in mesh.source.read().objects}
    loaded = mesh.write("policy.yaml", POLICY.replace("DENY", "ALLOW"))
    assert len({id(item) for item in loaded.objects} - before) == 1


def test_findings_of_views_get_the_line_of_the_field(mesh: Mesh) -> None:
    mesh.write("routes.yaml", "# moved\n" + (mesh.folder / "routes.yaml").read_text())
    route = ObjectRef(kind="VirtualService", namespace="shop", name="web")
    found = Problem(code="X", severity=Severity.ERROR, object=route, path="spec.http[0].timeout", message="m")
    assert mesh.source.locate([found]) == (found.at(Source(file=str(mesh.folder / "routes.yaml"), line=8)),)


# Security policies that were never readable

UNKNOWN_FIELD = POLICY.replace("DENY,", "DENY, selector: {matchLabels: {app: web}}, frobnicate: true,")
NO_YAML = POLICY.replace("[{}]", "[{}")
GUARDED = ObjectRef(kind="AuthorizationPolicy", namespace="shop", name="web")


@pytest.fixture
def unread(shop: Path) -> Mesh:
    """The shop, with no policy read yet."""
    made = Mesh(shop)
    assert made.read().problems == ()
    return made


def guards(mesh: Mesh) -> list[ObjectRef]:
    return list(mesh.registry.unreadable_policies)


@pytest.mark.parametrize("text", [UNKNOWN_FIELD, NO_YAML], ids=["schema", "YAML"])
def test_a_policy_that_was_never_readable_is_guarded_until_it_is_mended(unread: Mesh, text: str) -> None:
    for _ in range(2):
        unread.write("policy.yaml", text)
        assert guards(unread) == [GUARDED]
    assert unread.write("policy.yaml", POLICY).problems == ()
    assert guards(unread) == []
    assert list(unread.registry.authorization_policies) == [ROUTE]


@pytest.mark.parametrize("text", [UNKNOWN_FIELD, NO_YAML], ids=["schema", "YAML"])
def test_a_policy_that_was_never_readable_is_guarded_until_it_is_removed(unread: Mesh, text: str) -> None:
    unread.write("policy.yaml", text)
    (unread.folder / "policy.yaml").unlink()
    unread.read()
    assert guards(unread) == []


@pytest.mark.parametrize("text", [UNKNOWN_FIELD, NO_YAML, MALFORMED, NO_YAML.replace("web", "other")])
def test_a_policy_with_an_earlier_version_needs_no_guard(mesh: Mesh, text: str) -> None:
    good = mesh.registry.authorization_policies.peek(ROUTE)
    mesh.write("policy.yaml", text)
    assert guards(mesh) == []
    assert mesh.registry.authorization_policies.peek(ROUTE) == good


def test_another_file_that_was_never_readable_is_guarded_beside_it(mesh: Mesh) -> None:
    mesh.write("policy.yaml", NO_YAML)
    mesh.write("more.yaml", NO_YAML.replace("web", "other"))
    assert guards(mesh) == [ObjectRef(kind="AuthorizationPolicy", namespace="shop", name="other")]


def test_a_guard_is_kept_as_it_was_while_its_file_can_be_read_even_less(unread: Mesh) -> None:
    unread.write("policy.yaml", UNKNOWN_FIELD)
    narrow = unread.registry.unreadable_policies.peek(GUARDED)
    for text in (UNKNOWN_FIELD + "  [", MALFORMED):
        unread.write("policy.yaml", text)
        assert unread.registry.unreadable_policies.peek(GUARDED) == narrow is not None


def test_a_guard_goes_when_what_can_be_read_shows_that_nothing_is_protected(unread: Mesh) -> None:
    unread.write("policy.yaml", UNKNOWN_FIELD)
    unread.write("policy.yaml", UNKNOWN_FIELD.replace("DENY", "AUDIT"))
    assert guards(unread) == []


def test_a_guard_follows_what_can_be_read_of_the_policy(unread: Mesh) -> None:
    unread.write("policy.yaml", UNKNOWN_FIELD)
    unread.write("policy.yaml", UNKNOWN_FIELD.replace("app: web", "app: api"))
    guard = unread.registry.unreadable_policies.peek(GUARDED)
    assert guard is not None
    assert guard.selector is not None
    assert dict(guard.selector.match_labels) == {"app": "api"}


def test_the_finding_about_a_guard_names_the_file(unread: Mesh) -> None:
    unread.write("policy.yaml", NO_YAML)
    (found,) = unread.source.locate(all_problems(unread.registry))
    assert (found.code, found.object) == (Code.UNREADABLE_POLICY, GUARDED)
    assert found.source == Source(file=str(unread.folder / "policy.yaml"), line=1)
