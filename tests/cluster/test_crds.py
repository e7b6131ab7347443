"""The generated definitions on a real API server: it takes them, and with them all that the models take."""

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from bringup import Cluster, CommandFailed

from weft_core.model.decode import decode
from weft_core.model.kinds import BY_API, MESH_KINDS, Kind

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts/weft/files/crds"

VIRTUAL_SERVICE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "web"},
    "spec": {"hosts": ["web"], "http": [{"timeout": "5s", "route": [{"destination": {"host": "web"}}]}]},
}


def _bad_input() -> Any:
    """The documents of the repository and their mutations, which the webhook's unit tests use as well."""
    spec = importlib.util.spec_from_file_location("bad_input", ROOT / "tests/unit/admission/test_bad_input.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BAD_INPUT = _bad_input()


@pytest.fixture(scope="module")
def mesh_api(api_server: Cluster) -> Cluster:
    """The API server with the mesh's kinds."""
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", FILES)
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", FILES)
    return api_server


def _kind(document: dict[str, Any]) -> Kind:
    return BY_API[document["apiVersion"], document["kind"]]


def _named(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents as JSON has them, each under a name of its own, in the namespace that kubectl is told."""
    named = ({**document, "metadata": {"name": f"doc-{index}"}} for index, document in enumerate(documents))
    return [json.loads(json.dumps(document)) for document in named]


def test_the_schemas_are_structural(mesh_api: Cluster) -> None:
    for file in FILES.glob("*.yaml"):
        name = yaml.safe_load(file.read_text(encoding="utf-8"))["metadata"]["name"]
        conditions = {c["type"]: c["status"] for c in mesh_api.get("crd", name)["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_every_document_of_the_repository_is_stored_as_it_is_in_every_version(
    mesh_api: Cluster, namespace: str, position: int
) -> None:
    """Strict validation; nothing is dropped, and nothing is added."""
    documents = [
        {**document, "apiVersion": kind.api_versions[position]}
        for document in _named(BAD_INPUT.DOCUMENTS)
        if position < len((kind := _kind(document)).api_versions)
    ]
    bundle = {"apiVersion": "v1", "kind": "List", "items": documents}
    mesh_api.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", input=json.dumps(bundle))
    for kind in MESH_KINDS:
        mine = {d["metadata"]["name"]: d.get("spec", {}) for d in documents if d["kind"] == kind.kind}
        stored = mesh_api.get(f"{kind.plural}.{kind.group}", namespace=namespace)["items"]
        assert {item["metadata"]["name"]: item.get("spec", {}) for item in stored} == mine


def test_what_the_models_take_the_api_server_takes(mesh_api: Cluster, namespace: str) -> None:
    """2,000 mutations of the documents, of which those that decode must be stored."""
    good = []
    for seed in range(2000):
        rng = random.Random(seed)
        document = rng.choice(BAD_INPUT.DOCUMENTS)
        changed = {**document, "spec": BAD_INPUT.mutated({"spec": document.get("spec", {})}, rng).get("spec")}
        if decode(changed).object is not None:
            good.append(changed)
    assert len(good) > 100
    bundle = {"apiVersion": "v1", "kind": "List", "items": _named(good)}
    mesh_api.kubectl("create", "--validate=strict", "-n", namespace, "-f", "-", input=json.dumps(bundle))


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("retires", {"attempts": 1}, 'unknown field "spec.http\\[0\\].retires"'),
        ("timeout", 5, "spec.http\\[0\\].timeout: Invalid value"),
        ("timeout", "5 seconds", "spec.http\\[0\\].timeout: Invalid value"),
        ("route", [{"destination": {}}], "spec.http\\[0\\].route\\[0\\].destination.host: Required value"),
        ("route", [{"destination": {"host": "web", "port": {"number": 0}}}], "should be greater than or equal to 1"),
        ("route", [{"destination": {"host": "web"}, "weight": "80"}], "must be of type integer"),
        ("redirect", {"derivePort": "FROM_NOWHERE"}, "supported values"),
        ("match", "everything", "must be of type array"),
    ],
)
def test_what_a_schema_can_say_is_refused_without_the_webhook(
    mesh_api: Cluster, namespace: str, field: str, value: Any, told: str
) -> None:
    rule = {"route": [{"destination": {"host": "web"}}], field: value}
    document = {**VIRTUAL_SERVICE, "spec": {"hosts": ["web"], "http": [rule]}}
    with pytest.raises(CommandFailed, match=told):
        mesh_api.apply(document, namespace=namespace)


def test_a_field_without_value_is_not_dropped_unseen(mesh_api: Cluster, namespace: str) -> None:
    """Else `from:` with nothing behind it would let everybody in; the models refuse it as it is stored."""
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "nobody-said"},
        "spec": {"rules": [{"from": None, "to": [{"operation": {"methods": ["GET"]}}]}]},
    }
    mesh_api.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(document))
    stored = mesh_api.get("authorizationpolicy", "nobody-said", namespace=namespace)
    assert stored["spec"]["rules"][0]["from"] is None
    assert [problem.path for problem in decode(stored).problems] == ["spec.rules[0].from"]


def test_a_bare_spec_is_an_empty_one(mesh_api: Cluster, namespace: str) -> None:
    text = "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: deny-all}, spec: }"
    mesh_api.kubectl("apply", "-n", namespace, "-f", "-", input=text)
    assert decode(mesh_api.get("authorizationpolicy", "deny-all", namespace=namespace)).object is not None


def test_status_is_written_apart_and_waited_for(mesh_api: Cluster, namespace: str) -> None:
    mesh_api.apply({**VIRTUAL_SERVICE, "status": {"observedGeneration": 7}}, namespace=namespace)
    assert "status" not in mesh_api.get("virtualservice", "web", namespace=namespace)
    programmed = {
        "type": "Programmed",
        "status": "True",
        "reason": "Programmed",
        "message": "17 of 17 proxies",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    message = {"type": {"code": "IST0101"}, "level": "ERROR", "path": "spec.http[0]", "message": "no", "fix": "yes"}
    status = {"conditions": [programmed], "observedGeneration": 1, "validationMessages": [message]}
    _patch_status(mesh_api, namespace, status)
    found = mesh_api.get("virtualservice", "web", namespace=namespace)
    assert found["status"] == status
    assert found["metadata"]["generation"] == 1
    mesh_api.kubectl("wait", "-n", namespace, "virtualservice/web", "--for=condition=Programmed", "--timeout=5s")
    with pytest.raises(CommandFailed, match="Duplicate value"):
        _patch_status(mesh_api, namespace, {"conditions": [programmed, programmed]})


def test_a_status_that_istio_wrote_is_kept_and_lets_the_object_be_changed(mesh_api: Cluster, namespace: str) -> None:
    """Generations as text, a time of the last probe, and fields that only Istio knows."""
    mesh_api.apply(VIRTUAL_SERVICE, namespace=namespace)
    reconciled = {
        "type": "Reconciled",
        "status": "True",
        "lastProbeTime": "2026-01-01T00:00:00Z",
        "observedGeneration": "1",
    }
    status = {"conditions": [reconciled], "observedGeneration": "1", "addresses": [{"value": "240.240.0.1"}]}
    _patch_status(mesh_api, namespace, status)
    assert mesh_api.get("virtualservice", "web", namespace=namespace)["status"] == status
    changed = {**VIRTUAL_SERVICE["spec"], "exportTo": ["."]}
    mesh_api.apply({**VIRTUAL_SERVICE, "spec": changed}, namespace=namespace)
    assert mesh_api.get("virtualservice", "web", namespace=namespace)["status"] == status


def test_fields_without_effect_and_older_spellings_are_kept(mesh_api: Cluster, namespace: str) -> None:
    """Strict validation would refuse them as unknown, and a cluster that comes from Istio has such objects."""
    keep_alive = {"connectionPool": {"http": {"http2KeepAlive": {"interval": "15s"}}}}
    zones = {"loadBalancer": {"zoneAwareLbSetting": {"failover": [{"from": "a", "to": "b"}]}}}
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web"},
        "spec": {"host": "web", "trafficPolicy": {**keep_alive, **zones}},
    }
    routed = {**VIRTUAL_SERVICE["spec"]["http"][0], "mirror": {"host": "copy"}, "mirror_percent": 5}
    service = {**VIRTUAL_SERVICE, "spec": {"hosts": ["web"], "http": [routed]}}
    for document in (rule, service):
        mesh_api.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", input=json.dumps(document))
        stored = mesh_api.get(str(document["kind"]).lower(), "web", namespace=namespace)
        assert stored["spec"] == document["spec"]
        assert decode(stored).object is not None


def _patch_status(cluster: Cluster, namespace: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl(
        "patch", "-n", namespace, "virtualservice", "web", "--subresource=status", "--type=merge", "-p", patch
    )


def test_kubectl_shows_what_tells_objects_apart(mesh_api: Cluster, namespace: str) -> None:
    mesh_api.apply(VIRTUAL_SERVICE, namespace=namespace)
    lines = mesh_api.kubectl("get", "-n", namespace, "vs").splitlines()
    assert lines[0].split() == ["NAME", "GATEWAYS", "HOSTS", "ACCEPTED", "PROGRAMMED", "AGE"]
    assert lines[1].split()[:2] == ["web", '["web"]']
    for category in ("weft", "istio-io", "networking-istio-io"):
        assert "virtualservice.networking.istio.io/web" in mesh_api.kubectl(
            "get", "-n", namespace, category, "-o", "name"
        )
    explained = mesh_api.kubectl("explain", "virtualservice.spec.http.timeout")
    assert "timeout <string>" in explained
    assert len(explained.partition("DESCRIPTION:")[2].strip()) > 10
