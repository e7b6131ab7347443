"""The webhook over HTTP: every review gets its answer in time, and no pod slips through unprotected."""

import asyncio
import base64
import io
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jsonpatch
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from weft_core.model.mesh_config import MeshConfig
from weft_injector.settings import ClusterFeatures, InjectionSettings
from weft_injector.webhook import InjectionMetrics, Injector
from weft_kube.admission import handler

Json = dict[str, Any]
Client = TestClient[web.Request, web.Application]
LONGEST = 10.0
"""What the API server waits, in seconds."""


@dataclass
class Cluster:
    """What the webhook is told, and what it asked for."""

    features: ClusterFeatures = field(default_factory=ClusterFeatures)
    labels: Mapping[str, str] | None = field(default_factory=lambda: {"weft.dev/injection": "enabled"})
    ensured: list[tuple[object, ...]] = field(default_factory=list)
    fault: Exception | None = None
    delay: float = 0.0

    async def namespace_labels(self, _namespace: str) -> Mapping[str, str] | None:
        return self.labels

    async def ensure(self, *whose: str, dry_run: bool) -> None:
        """Both of credentials, of three names, and of trust bundles, of one."""
        await asyncio.sleep(self.delay)
        if self.fault:
            raise self.fault
        self.ensured.append((*whose, dry_run))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def client(cluster: Cluster, registry: CollectorRegistry) -> AsyncIterator[Client]:
    injector = Injector(
        settings=InjectionSettings,
        features=lambda: cluster.features,
        mesh=MeshConfig,
        namespace_labels=cluster.namespace_labels,
        credentials=cluster,
        trust_bundles=cluster,
        metrics=InjectionMetrics(registry),
        answer_within=timedelta(seconds=2),
    )
    application = web.Application()
    application.router.add_post("/inject", handler(injector.inject))
    async with TestClient(TestServer(application)) as found:
        yield found


@pytest.fixture
def ask(client: Client) -> Callable[..., Awaitable[Json]]:
    """Asks about a pod; gives the response of the review."""

    async def run(pod: Any, **request: Any) -> Json:
        body = io.BytesIO(json.dumps(review(pod, **request)).encode())
        answer = await client.post("/inject", data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200
        response: Json = (await answer.json())["response"]
        assert response["uid"] == "u"
        return response

    return run


def review(pod: Any, **request: Any) -> Json:
    asked = {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "shop",
        "operation": "CREATE",
        "object": pod,
        **request,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


def web_pod() -> Json:
    return {
        "metadata": {"generateName": "web-", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "a", "livenessProbe": {"tcpSocket": {"port": 80}}}]},
    }


def patched(pod: Json, response: Json) -> Json:
    found: Json = jsonpatch.apply_patch(pod, json.loads(base64.b64decode(response["patch"])))
    return found


def counted(registry: CollectorRegistry) -> dict[str, float]:
    names = ("requests", "success", "failure", "skip")
    return {name: registry.get_sample_value(f"sidecar_injection_{name}_total") or 0.0 for name in names}


async def test_a_pod_is_given_its_sidecar_once_its_secret_is_there(
    ask: Callable[..., Awaitable[Json]], cluster: Cluster, registry: CollectorRegistry
) -> None:
    response = await ask(web_pod())
    assert response["allowed"]
    assert response["patchType"] == "JSONPatch"
    names = [container["name"] for container in patched(web_pod(), response)["spec"]["containers"]]
    assert names == ["istio-proxy", "app"]
    assert cluster.ensured == [("shop", False), ("shop", "default", "web", False)]
    assert counted(registry) == {"requests": 1, "success": 1, "failure": 0, "skip": 0}


async def test_pod_certificates_need_no_secret(ask: Callable[..., Awaitable[Json]], cluster: Cluster) -> None:
    cluster.features = ClusterFeatures(pod_certificates=True, native_sidecars=True)
    await ask(web_pod())
    assert cluster.ensured == [("shop", False)]


async def test_a_dry_run_is_passed_on(ask: Callable[..., Awaitable[Json]], cluster: Cluster) -> None:
    assert (await ask(web_pod(), dryRun=True))["allowed"]
    assert all(call[-1] is True for call in cluster.ensured)


async def test_reinvocation_changes_nothing(ask: Callable[..., Awaitable[Json]], registry: CollectorRegistry) -> None:
    pod = patched(web_pod(), await ask(web_pod()))
    again = await ask(pod)
    assert again["allowed"]
    assert "patch" not in again
    assert counted(registry)["skip"] == 1


async def test_a_skipped_pod_warns_who_applied_it(ask: Callable[..., Awaitable[Json]]) -> None:
    pod = web_pod()
    pod["spec"]["hostNetwork"] = True
    response = await ask(pod)
    assert response["allowed"]
    assert "no sidecar was added" in response["warnings"][0]


async def test_what_is_wrong_is_told_with_path_and_fix(
    ask: Callable[..., Awaitable[Json]], registry: CollectorRegistry
) -> None:
    pod = web_pod()
    pod["metadata"]["annotations"] = {"sidecar.istio.io/proxyCPU": "many"}
    response = await ask(pod)
    assert not response["allowed"]
    assert response["status"]["code"] == 422
    assert (
        "metadata.annotations[sidecar.istio.io/proxyCPU]: 'many' is not a quantity (write"
        in response["status"]["message"]
    )
    assert counted(registry)["failure"] == 1


async def test_warnings_reach_kubectl(ask: Callable[..., Awaitable[Json]]) -> None:
    pod = web_pod()
    pod["metadata"]["annotations"] = {"sidecar.istio.io/proxyCpu": "1"}
    [warning] = (await ask(pod))["warnings"]
    assert "sidecar.istio.io/proxyCpu" in warning


async def test_a_secret_that_cannot_be_made_refuses_the_pod(
    ask: Callable[..., Awaitable[Json]], cluster: Cluster
) -> None:
    cluster.fault = RuntimeError("no quota")
    response = await ask(web_pod())
    assert not response["allowed"]
    assert response["status"]["code"] == 503
    assert "no quota" in response["status"]["message"]


async def test_a_namespace_that_is_not_known_refuses_the_pod(
    ask: Callable[..., Awaitable[Json]], cluster: Cluster
) -> None:
    cluster.labels = None
    response = await ask(web_pod())
    assert (response["allowed"], response["status"]["code"]) == (False, 503)


async def test_a_pod_of_no_namespace_is_refused(ask: Callable[..., Awaitable[Json]], cluster: Cluster) -> None:
    """Whoever reaches the port may post a review, and nothing is made for one that names no place."""
    response = await ask(web_pod(), namespace="")
    assert (response["allowed"], response["status"]["code"]) == (False, 503)
    assert not cluster.ensured


async def test_what_takes_too_long_is_refused_in_time(ask: Callable[..., Awaitable[Json]], cluster: Cluster) -> None:
    cluster.delay = 60
    start = time.monotonic()
    response = await ask(web_pod())
    assert not response["allowed"]
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    "request_", [{"operation": "UPDATE"}, {"subResource": "ephemeralcontainers"}, {"kind": {"kind": "Service"}}]
)
async def test_what_is_no_new_pod_passes(ask: Callable[..., Awaitable[Json]], request_: Json) -> None:
    response = await ask(web_pod(), **request_)
    assert response["allowed"]
    assert "patch" not in response


async def test_a_review_of_another_version_is_answered(client: Client) -> None:
    body = review(web_pod())
    body["apiVersion"] = "admission.k8s.io/v1beta1"
    response = (await (await client.post("/inject", json=body)).json())["response"]
    assert not response["allowed"]


@pytest.mark.parametrize("pod", [{}, {"spec": None}, {"spec": {}}, {"metadata": {"name": "a"}}, {"spec": []}])
async def test_a_pod_without_spec_is_refused(ask: Callable[..., Awaitable[Json]], pod: Json) -> None:
    response = await ask(pod)
    assert (response["allowed"], response["status"]["code"]) == (False, 422)


async def test_a_pod_of_five_megabytes_is_answered_in_time(ask: Callable[..., Awaitable[Json]]) -> None:
    pod = web_pod()
    pod["spec"]["containers"][0]["env"] = [{"name": f"V{n}", "value": "x" * 40} for n in range(70_000)]
    assert len(json.dumps(pod)) > 5e6
    start = time.monotonic()
    response = await ask(pod)
    assert time.monotonic() - start < LONGEST / 2
    assert response["allowed"]
    assert len(response["patch"]) < 50_000, "the patch is about what changed"


async def test_a_pod_of_a_hundred_containers_is_answered_in_time(ask: Callable[..., Awaitable[Json]]) -> None:
    pod = web_pod()
    probe = {"httpGet": {"path": "/", "port": 8080}}
    pod["spec"]["containers"] = [
        {
            "name": f"c{n}",
            "livenessProbe": probe,
            "readinessProbe": probe,
            "startupProbe": {"tcpSocket": {"port": n + 1}},
        }
        for n in range(100)
    ]
    start = time.monotonic()
    response = await ask(pod)
    assert response["allowed"]
    assert time.monotonic() - start < LONGEST / 10
    assert len(patched(pod, response)["spec"]["containers"]) == 101


async def test_two_hundred_mutated_pods_all_get_an_answer(
    ask: Callable[..., Awaitable[Json]], registry: CollectorRegistry
) -> None:
    chance = random.Random(4)
    junk: list[Any] = [None, True, -1, 1e300, "", "\u0000", "x" * 5000, [], [[]], {}, {"name": {}}, "$(POD_IP)"]

    def mutate(value: Any) -> Any:
        if chance.random() < 0.06:
            return chance.choice(junk)
        if isinstance(value, dict):
            return {key: mutate(item) for key, item in value.items()}
        return [mutate(item) for item in value] if isinstance(value, list) else value

    for _ in range(200):
        response = await ask(mutate({**web_pod(), "apiVersion": "v1", "kind": "Pod"}) or {})
        assert isinstance(response["allowed"], bool)
        assert response["allowed"] or response["status"]["code"] in (400, 422)
    assert counted(registry)["success"] > 0
    assert counted(registry)["failure"] > 0
