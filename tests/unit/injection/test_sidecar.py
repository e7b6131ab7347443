"""The container of the proxy, the one that redirects, and their surroundings in the pod."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from weft_injector.delivery.names import secret_name
from weft_injector.patch.inject import Credentials, Injection

Pod = dict[str, Any]
Injected = Callable[..., Pod]
Inject = Callable[..., Injection]

WEB = """
metadata:
  generateName: web-7d9c5b-
  labels: {app: web, version: v2, pod-template-hash: 7d9c5b}
  ownerReferences: [{kind: ReplicaSet, name: web-7d9c5b, controller: true, apiVersion: apps/v1, uid: u}]
spec:
  serviceAccountName: shop-web
  initContainers: [{name: migrate, image: m}]
  containers: [{name: app, image: app}]
"""


def names(pod: Pod, field: str) -> list[str]:
    return [container["name"] for container in pod["spec"].get(field) or []]


def test_a_native_sidecar_comes_before_every_other_init_container(
    injected: Injected, proxy_of: Callable[[Pod], Pod]
) -> None:
    pod = injected(WEB)
    assert names(pod, "initContainers") == ["weft-redirect", "istio-proxy", "migrate"]
    assert names(pod, "containers") == ["app"]
    proxy = proxy_of(pod)
    assert proxy["restartPolicy"] == "Always"
    assert proxy["startupProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021}
    assert proxy["lifecycle"] == {"preStop": {"exec": {"command": ["/usr/local/bin/weft", "drain"]}}}


def test_init_containers_may_ask_to_start_before_the_proxy_and_the_redirect(injected: Injected) -> None:
    pod = {
        "metadata": {"annotations": {"sidecar.istio.io/init-containers-before-proxy": "vault, keys"}},
        "spec": {
            "initContainers": [{"name": name} for name in ("keys", "migrate", "vault")],
            "containers": [{"name": "vault"}],
        },
    }
    assert names(injected(pod), "initContainers") == ["keys", "vault", "weft-redirect", "istio-proxy", "migrate"]
    assert names(injected(pod, native=False), "initContainers") == ["keys", "migrate", "vault", "weft-redirect"]


def test_a_plain_sidecar_is_the_first_container_and_holds_the_others(
    injected: Injected, proxy_of: Callable[[Pod], Pod]
) -> None:
    pod = injected(WEB, native=False)
    assert names(pod, "initContainers") == ["migrate", "weft-redirect"], "init containers have their network"
    assert names(pod, "containers") == ["istio-proxy", "app"]
    proxy = proxy_of(pod)
    assert "restartPolicy" not in proxy
    assert proxy["startupProbe"]["periodSeconds"] == 1, "ready within a second, whatever the period of readiness"
    assert proxy["lifecycle"]["postStart"]["exec"]["command"][:2] == ["/usr/local/bin/weft", "wait"]
    assert proxy["lifecycle"]["preStop"]["exec"]["command"][2:] == ["--minimum=5", "--maximum=27"]


@pytest.mark.parametrize(
    ("grace", "expected"),
    [
        (0, ["--minimum=0", "--maximum=0"]),
        (5, ["--minimum=2", "--maximum=2"]),
        (60, ["--minimum=5", "--maximum=57"]),
    ],
)
def test_draining_fits_the_grace_period(
    injected: Injected, proxy_of: Callable[[Pod], Pod], grace: int, expected: list[str]
) -> None:
    pod = injected({"spec": {"containers": [{"name": "a"}], "terminationGracePeriodSeconds": grace}}, native=False)
    assert proxy_of(pod)["lifecycle"]["preStop"]["exec"]["command"][2:] == expected


def test_the_sidecar_keeps_to_the_restricted_standard(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    context = proxy_of(injected(WEB))["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": 1337,
        "runAsNonRoot": True,
        "runAsUser": 1337,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_redirecting_container_is_root_with_two_capabilities_even_where_the_pod_is_not(injected: Injected) -> None:
    pod = injected({"spec": {"securityContext": {"runAsNonRoot": True}, "containers": [{"name": "a"}]}})
    context = pod["spec"]["initContainers"][0]["securityContext"]
    assert (context["runAsUser"], context["runAsNonRoot"]) == (0, False)
    assert context["capabilities"] == {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True}, "the pod's own is not touched"


def test_the_node_is_who_the_pod_is(injected: Injected, bootstrap_of: Callable[..., Pod]) -> None:
    pod = injected(WEB)
    node = bootstrap_of(pod, POD_NAME="web-7d9c5b-x", POD_IP="fd00::1")["node"]
    assert node["id"] == "sidecar~fd00::1~web-7d9c5b-x.shop~shop.svc.cluster.local"
    assert node["cluster"] == "web.shop"
    assert node["metadata"]["WORKLOAD_NAME"] == "web"
    assert node["metadata"]["SERVICE_ACCOUNT"] == "shop-web"
    assert node["metadata"]["NAMESPACE"] == "shop"
    assert node["metadata"]["LABELS"] == pod["metadata"]["labels"]


def test_labels_tell_the_mesh_about_the_pod(injected: Injected) -> None:
    labels = injected(WEB)["metadata"]["labels"]
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert labels["service.istio.io/canonical-name"] == "web"
    assert labels["service.istio.io/canonical-revision"] == "v2"
    assert labels["weft.dev/rev"] == "default"


@pytest.mark.parametrize(
    ("labels", "name", "revision"),
    [
        ({}, "web-0", "latest"),
        ({"app": "a", "app.kubernetes.io/name": "b", "version": "1", "app.kubernetes.io/version": "2"}, "b", "2"),
        ({"service.istio.io/canonical-name": "c", "app": "a", "service.istio.io/canonical-revision": "3"}, "c", "3"),
    ],
)
def test_the_canonical_service(injected: Injected, labels: dict[str, str], name: str, revision: str) -> None:
    found = injected({"metadata": {"name": "web-0", "labels": labels}, "spec": {"containers": [{"name": "a"}]}})
    given = found["metadata"]["labels"]
    assert given["service.istio.io/canonical-name"] == name
    assert given["service.istio.io/canonical-revision"] == revision


def test_a_workloads_long_name_fits_a_label(injected: Injected) -> None:
    pod = injected({"metadata": {"name": "a" * 62 + ".b" * 40}, "spec": {"containers": [{"name": "a"}]}})
    assert pod["metadata"]["labels"]["service.istio.io/canonical-name"] == "a" * 62


@pytest.mark.parametrize(
    ("owner", "labels", "workload"),
    [
        ({"kind": "ReplicaSet", "name": "web-7d9c"}, {"pod-template-hash": "7d9c"}, "web"),
        ({"kind": "ReplicaSet", "name": "web-7d9c"}, {}, "web-7d9c"),
        ({"kind": "Job", "name": "report-28812345"}, {}, "report"),
        ({"kind": "Job", "name": "report-1"}, {}, "report-1"),
        ({"kind": "StatefulSet", "name": "db"}, {}, "db"),
    ],
)
def test_the_workload_is_what_made_the_pod(
    injected: Injected,
    bootstrap_of: Callable[..., Pod],
    owner: Pod,
    labels: dict[str, str],
    workload: str,
) -> None:
    metadata = {"generateName": "x-", "labels": labels, "ownerReferences": [{**owner, "controller": True}]}
    pod = injected({"metadata": metadata, "spec": {"containers": [{"name": "a"}]}})
    assert bootstrap_of(pod)["node"]["metadata"]["WORKLOAD_NAME"] == workload


def test_the_kubelet_asks_for_the_certificate(inject: Inject) -> None:
    found = inject(WEB, settings={"certificates": {"lifetime": "12h"}})
    assert found.pod is not None
    assert found.credentials is None
    [volume] = found.pod["spec"]["volumes"]
    certificate, bundle = volume["projected"]["sources"]
    assert volume["projected"]["defaultMode"] == 0o444
    assert certificate["podCertificate"] == {
        "signerName": "weft.dev/workload",
        "keyType": "ECDSAP256",
        "credentialBundlePath": "credentials.pem",
        "maxExpirationSeconds": 12 * 3600,
    }
    assert bundle["configMap"]["name"] == "weft-trust-bundle"
    assert {item["path"] for item in bundle["configMap"]["items"]} == {
        "root.pem",
        "sds-default.json",
        "sds-rootca.json",
    }


def test_without_pod_certificates_it_lies_in_a_secret_that_must_be_there(inject: Inject) -> None:
    found = inject(WEB, pod_certificates=False)
    assert found.pod is not None
    assert found.credentials == Credentials(workload="web", service_account="shop-web")
    source = found.pod["spec"]["volumes"][0]["projected"]["sources"][0]
    assert source["secret"]["name"] == secret_name("web", "shop-web")
    assert inject(found.pod, pod_certificates=False).credentials == found.credentials, (
        "also where it was injected before"
    )


def test_only_the_proxy_sees_the_certificate(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    pod = injected(WEB)
    assert proxy_of(pod)["volumeMounts"] == [
        {"name": "weft-certificates", "mountPath": "/etc/weft/certs", "readOnly": True}
    ]
    assert proxy_of(pod)["workingDir"] == "/etc/weft"
    others = [c for field in ("containers", "initContainers") for c in pod["spec"][field] if c["name"] != "istio-proxy"]
    assert not any(container.get("volumeMounts") for container in others)


def test_dollars_of_users_reach_envoy_as_they_are(injected: Injected, bootstrap_of: Callable[..., Pod]) -> None:
    """In an argument the kubelet takes `$(NAME)` for a variable, and two dollars for one."""
    strange = "$(POD_IP)$$(x)$$$"
    config = json.dumps({"proxyMetadata": {"ISTIO_META_X": strange}})
    probe = {"httpGet": {"path": f"/{strange}", "port": 80}}
    pod = {
        "metadata": {"name": "a", "annotations": {"proxy.istio.io/config": config}},
        "spec": {"containers": [{"name": "a", "livenessProbe": probe}]},
    }
    bootstrap = bootstrap_of(injected(pod))
    assert bootstrap["node"]["metadata"]["X"] == strange
    assert f'"/{strange}"' in json.dumps(bootstrap["static_resources"]["listeners"])


def test_pull_secrets_are_added_once(injected: Injected) -> None:
    given = {"spec": {"containers": [{"name": "a"}], "imagePullSecrets": [{"name": "mine"}, {"name": "one"}]}}
    pod = injected(given, settings={"imagePullSecrets": ["one", "two"]})
    assert [secret["name"] for secret in pod["spec"]["imagePullSecrets"]] == ["mine", "one", "two"]


def test_metrics_are_announced_unless_the_application_has_its_own(injected: Injected) -> None:
    assert injected(WEB)["metadata"]["annotations"]["prometheus.io/port"] == "15090"
    own = {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}, "spec": {"containers": [{"name": "a"}]}}
    annotations = injected(own)["metadata"]["annotations"]
    assert {name for name in annotations if name.startswith("prometheus.io")} == {"prometheus.io/scrape"}


@pytest.mark.parametrize("name", ["prometheus.io.scrape", "prometheus_io_port"])
def test_prometheus_takes_other_spellings_for_the_same(injected: Injected, name: str) -> None:
    """Its discovery makes `prometheus_io_scrape` of all of them: two would overwrite each other."""
    own = {"metadata": {"annotations": {name: "false"}}, "spec": {"containers": [{"name": "a"}]}}
    assert not any(name.startswith("prometheus.io/") for name in injected(own)["metadata"]["annotations"])


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"limits": {"memory": "512Mi"}}, {"requests": {"cpu": "100m"}, "limits": {"cpu": "2"}}),
        ({"requests": {"cpu": "1", "memory": "64Mi"}}, {}),
        ({"limits": {"hugepages-2Mi": "4Mi"}}, {"requests": {"cpu": "100m", "memory": "128Mi"}}),
    ],
)
def test_what_the_pod_has_as_a_whole_the_sidecar_shares(
    injected: Injected, proxy_of: Callable[[Pod], Pod], budget: Pod, expected: Pod
) -> None:
    """The API server refuses containers that ask for more than their pod has."""
    pod = injected({"spec": {"resources": budget, "containers": [{"name": "a"}]}})
    for container in (proxy_of(pod), pod["spec"]["initContainers"][0]):
        assert container["resources"].items() >= expected.items()
        assert expected or not container["resources"]


def test_what_is_asked_for_the_sidecar_holds_within_a_pods_budget(
    injected: Injected, proxy_of: Callable[[Pod], Pod]
) -> None:
    metadata = {"annotations": {"sidecar.istio.io/proxyCPU": "10m"}}
    pod = injected(
        {"metadata": metadata, "spec": {"resources": {"limits": {"cpu": "1"}}, "containers": [{"name": "a"}]}}
    )
    assert proxy_of(pod)["resources"] == {"requests": {"cpu": "10m"}}


def test_kubectl_shows_the_application(injected: Injected) -> None:
    assert injected(WEB)["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "app"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, "2"),
        ({"sidecar.istio.io/proxyCPULimit": "2500m"}, "3"),
        ({"sidecar.istio.io/proxyCPU": "100m"}, "1"),
        ({"proxy.istio.io/config": "concurrency: 7"}, "7"),
        ({"proxy.istio.io/config": "concurrency: 0"}, None),
    ],
)
def test_worker_threads_go_by_the_cpu(
    injected: Injected, proxy_of: Callable[[Pod], Pod], metadata: dict[str, str], expected: str | None
) -> None:
    pod = injected({"metadata": {"annotations": metadata}, "spec": {"containers": [{"name": "a"}]}})
    arguments = proxy_of(pod)["args"]
    found = arguments[arguments.index("--concurrency") + 1] if "--concurrency" in arguments else None
    assert found == expected


def test_what_weft_does_not_know_is_kept(injected: Injected) -> None:
    given: Pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "managedFields": [{"manager": "x"}], "somethingNew": {"a": [1, None]}},
        "spec": {
            "containers": [{"name": "a", "future": {"b": 1}, "env": None}],
            "schedulingGates": [{"name": "g"}],
            "volumes": [{"name": "v", "emptyDir": {}, "x": 1}],
        },
        "status": {},
    }
    pod = injected(given)
    assert pod["metadata"]["somethingNew"] == {"a": [1, None]}
    assert pod["spec"]["containers"] == given["spec"]["containers"]
    assert pod["spec"]["volumes"][0] == given["spec"]["volumes"][0]
    assert pod["spec"]["schedulingGates"] == [{"name": "g"}]
    assert pod["status"] == {}


@pytest.mark.parametrize("field", ["runAsUser", "runAsGroup"])
def test_an_application_that_runs_as_the_proxy_is_refused(inject: Inject, field: str) -> None:
    alone = inject({"spec": {"containers": [{"name": "a", "securityContext": {field: 1337}}]}})
    assert [problem.path for problem in alone.errors] == [f"spec.containers[0].securityContext.{field}"]
    everyone = inject({"spec": {"securityContext": {field: 1337}, "containers": [{"name": "a"}]}})
    assert [problem.path for problem in everyone.errors] == [f"spec.securityContext.{field}"]
    other = inject(
        {
            "spec": {
                "securityContext": {field: 1337},
                "containers": [{"name": "a", "securityContext": {field: 1}}],
            }
        }
    )
    assert other.errors == ()


def test_an_init_container_may_run_as_the_proxy_as_istios_users_do_it(inject: Inject) -> None:
    init = {"name": "migrate", "securityContext": {"runAsUser": 1337}}
    found = inject({"spec": {"initContainers": [init], "containers": [{"name": "a"}]}})
    assert found.errors == ()
    assert [problem.path for problem in found.problems] == ["spec.initContainers[0].securityContext.runAsUser"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"volumes": [{"name": "weft-certificates"}]}, "spec.volumes[0].name"),
        ({"initContainers": [{"name": "weft-redirect"}]}, "spec.initContainers[0].name"),
    ],
)
def test_names_that_the_injector_needs_are_not_to_be_taken(inject: Inject, spec: Pod, path: str) -> None:
    found = inject({"spec": {"containers": [{"name": "a"}], **spec}})
    assert [problem.path for problem in found.errors] == [path]
