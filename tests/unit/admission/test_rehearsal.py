"""An object is judged beside the others, and the live registry never learns of it."""

from typing import Any

import pytest
import yaml

from weft_core.ingest import CONFIG_KINDS
from weft_core.model.decode import decode
from weft_core.model.meta import Config
from weft_core.problems import Problem
from weft_core.registry import Registry
from weft_core.view.problems import all_problems
from weft_operator.admission.rehearsal import CHECKS, Rehearsal, snapshot

CASES = {
    "a route to nobody": """
kind: VirtualService
spec: {hosts: [web], http: [{route: [{destination: {host: nobody}}]}]}
""",
    "a subset that nobody defines": """
kind: VirtualService
spec: {hosts: [other.example.com], gateways: [gw], http: [{route: [{destination: {host: web, subset: v9}}]}]}
""",
    "a rule for nobody": "{kind: DestinationRule, spec: {host: nobody}}",
    "a Secret that is not there": """
kind: DestinationRule
spec:
  host: web
  workloadSelector: {matchLabels: {app: web}}
  trafficPolicy: {tls: {mode: SIMPLE, credentialName: nobody}}
""",
    "a gateway without pods": """
kind: Gateway
spec: {selector: {app: gone}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
""",
    "an entry that another object shadows": """
kind: ServiceEntry
spec:
  {hosts: [web.shop.svc.cluster.local], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
""",
    "an endpoint of nobody": "{kind: WorkloadEntry, spec: {address: 10.9.9.9, labels: {app: gone}}}",
    "an egress to nowhere": "{kind: Sidecar, spec: {egress: [{hosts: [shop/nobody.shop.svc.cluster.local]}]}}",
    "a mode for nobody": """
kind: PeerAuthentication
spec: {selector: {matchLabels: {app: gone}}, mtls: {mode: STRICT}}
""",
    "tokens for nobody": """
kind: RequestAuthentication
spec: {selector: {matchLabels: {app: gone}}, jwtRules: [{issuer: a, jwks: '{"keys": []}'}]}
""",
    "a policy for nobody": """
kind: AuthorizationPolicy
spec: {selector: {matchLabels: {app: gone}}, rules: [{}]}
""",
}


_NETWORKING = {"VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "WorkloadEntry", "Sidecar"}


def made(text: str) -> Config[Any]:
    document = yaml.safe_load(text)
    group = "security" if document["kind"] not in _NETWORKING else "networking"
    meta = {"name": "tried", "namespace": "shop", "creationTimestamp": "2026-02-01T00:00:00Z"}
    decoded = decode({"apiVersion": f"{group}.istio.io/v1", "metadata": meta, **document})
    assert isinstance(decoded.object, Config), decoded.problems
    return decoded.object


def about(config: Config[Any], problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.object == config.meta.ref)


def test_every_kind_of_the_mesh_is_judged() -> None:
    assert CHECKS.keys() == CONFIG_KINDS.keys()
    assert {made(text).meta.kind for text in CASES.values()} == CHECKS.keys()


def tried(mesh: Registry, config: Config[Any]) -> tuple[Problem, ...]:
    return Rehearsal(mesh.settings).problems(snapshot(mesh), config)


@pytest.mark.parametrize("case", CASES)
def test_findings_are_those_of_weft_analyze(case: str, mesh: Registry) -> None:
    config = made(CASES[case])
    found = tried(mesh, config)
    getattr(mesh, CONFIG_KINDS[config.meta.kind]).put((config.meta.namespace, config.meta.name), config)
    assert found == about(config, all_problems(mesh))
    assert found, "a case without findings shows nothing"


def test_the_live_registry_is_not_disturbed(mesh: Registry) -> None:
    node = mesh.observe(all_problems)
    mesh.commit()
    before, calls = node.value, len(mesh)
    mesh.runs = {}
    assert tried(mesh, made(CASES["a route to nobody"]))
    assert mesh.commit() == []
    assert (mesh.runs, node.value, len(mesh)) == ({}, before, calls)
    assert mesh.virtual_services.peek(("shop", "tried")) is None


def test_a_new_version_is_tried_in_place_of_the_old_one_and_taken_back(mesh: Registry) -> None:
    rehearsal = Rehearsal(mesh.settings)
    live = mesh.virtual_services.peek(("shop", "web"))
    assert live is not None
    changed = decode(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "nobody"}}]}]},
        }
    ).object
    assert isinstance(changed, Config)
    assert [problem.code for problem in rehearsal.problems(snapshot(mesh), changed)] == ["IST0101"]
    assert rehearsal.problems(snapshot(mesh), live) == ()


def test_what_changes_meanwhile_is_seen_by_the_next_rehearsal(mesh: Registry) -> None:
    rehearsal = Rehearsal(mesh.settings)
    config = made("{kind: DestinationRule, spec: {host: nobody}}")
    assert rehearsal.problems(snapshot(mesh), config)
    entry = made("{kind: ServiceEntry, spec: {hosts: [nobody.shop.svc.cluster.local], resolution: NONE}}")
    mesh.service_entries.put(("shop", "tried"), entry)
    assert rehearsal.problems(snapshot(mesh), config) == ()
    mesh.service_entries.put(("shop", "tried"), None)
    assert rehearsal.problems(snapshot(mesh), config)


def test_nothing_piles_up(mesh: Registry) -> None:
    rehearsal = Rehearsal(mesh.settings)
    for text in CASES.values():
        rehearsal.problems(snapshot(mesh), made(text))
    assert len(rehearsal._stage) == 0
