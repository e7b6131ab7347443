"""The first day with a mesh: the commands of the README, and what becomes of them in real traffic."""

import json
from collections import Counter
from typing import Any

import pytest
from shop import ROOT, Answer, Shop, ask, eventually

ECHO = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: echo}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: http, port: 8000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      serviceAccountName: echo
      terminationGracePeriodSeconds: 1
      containers:
      - name: echo
        image: localhost/weft-bookshop:1.0
        command: [python3, -c]
        args:
        - |
          import http.server, json
          class Echo(http.server.BaseHTTPRequestHandler):
              protocol_version = "HTTP/1.1"
              def do_GET(self):
                  body = json.dumps(dict(self.headers)).encode()
                  self.send_response(200)
                  self.send_header("Content-Length", str(len(body)))
                  self.end_headers()
                  self.wfile.write(body)
          http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Echo).serve_forever()
        ports: [{name: http, containerPort: 8000}]
"""
DENY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-ratings}
spec:
  selector: {matchLabels: {app: ratings}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/bookshop-reviews]}}]}]
"""
FAULT = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {abort: {percentage: {value: 100}, httpStatus: 418}}
    route: [{destination: {host: ratings}}]
"""
STRICT = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
"""
ONLY_V2 = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: v2}}]}]
"""
FIRST_INSTRUCTION = """\
apiVersion: batch/v1
kind: Job
metadata: {name: eager}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: eager}}
    spec:
      restartPolicy: Never
      containers:
      - name: eager
        image: localhost/weft-bookshop:1.0
        command: [python3, -c]
        args: ["import urllib.request as r; print(r.urlopen('http://details:9080/details/0', timeout=5).status)"]
"""


def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of a pod's proxy."""
    spec = pod["spec"]
    return next(c for c in (*spec.get("initContainers", ()), *spec["containers"]) if c["name"] == "istio-proxy")


def test_every_pod_is_ready_and_has_a_sidecar(shop: Shop) -> None:
    pods = shop.pods()
    assert len(pods) >= 7
    for pod in pods:
        ready = next(c["status"] for c in pod["status"]["conditions"] if c["type"] == "Ready")
        assert ready == "True"
        assert sidecar(pod)["image"] == "localhost/weft:dev"
        if "gateway" not in pod["metadata"]["name"]:
            assert sidecar(pod)["restartPolicy"] == "Always"


def test_the_page_comes_through_the_gateway_with_details_reviews_and_ratings(shop: Shop) -> None:
    answer = shop.page()
    assert answer.status == 200
    assert b"details" in answer.body.lower()


def test_traffic_is_mutual_tls_and_the_receiver_sees_the_callers_identity(shop: Shop) -> None:
    shop.apply(ECHO)
    shop.kubectl("rollout", "status", "deployment/echo", "--timeout=60s")
    code = "import urllib.request as r; print(r.urlopen('http://echo:8000/').read().decode())"
    headers = {name.lower(): value for name, value in json.loads(shop.run_inside("reviews-v1", code)).items()}
    assert "URI=spiffe://cluster.local/ns/shop/sa/bookshop-reviews" in headers["x-forwarded-client-cert"]
    assert "By=spiffe://cluster.local/ns/shop/sa/echo" in headers["x-forwarded-client-cert"]
    shop.delete(ECHO)


def test_a_canary_takes_its_share_and_is_programmed(shop: Shop) -> None:
    shop.kubectl("apply", "-f", ROOT / "examples/canary.yaml")
    shop.kubectl("wait", "virtualservice/reviews", "--for=condition=Programmed", "--timeout=5s")
    counts = shop.reviews(400)
    assert set(counts) == {"v1", "v2"}
    assert 15 <= counts["v2"] <= 75, counts  # a tenth of 400, give or take four standard deviations


def test_rules_change_in_force_within_a_second_or_so(shop: Shop) -> None:
    shop.apply(ONLY_V2)
    shop.kubectl("wait", "virtualservice/reviews", "--for=condition=Programmed", "--timeout=5s")
    assert shop.reviews(20) == Counter({"v2": 20})


def ratings_status(shop: Shop) -> int:
    """What reviews gets from ratings."""
    return int(shop.page("/api/v1/products/0/reviews").json["ratings_status"])


def test_a_denied_caller_gets_403_and_others_do_not(shop: Shop) -> None:
    shop.apply(ONLY_V2)

    def status_is(expected: int) -> None:
        assert ratings_status(shop) == expected

    eventually(lambda: status_is(200))
    shop.apply(DENY)
    eventually(lambda: status_is(403), 5)
    assert shop.page("/api/v1/products/0/ratings").status == 200  # productpage may
    shop.delete(DENY)
    eventually(lambda: status_is(200), 5)


def test_a_fault_is_injected(shop: Shop) -> None:
    shop.apply(FAULT)
    eventually(lambda: _is(shop.page("/api/v1/products/0/ratings"), 418), 5)


def _is(answer: Answer, status: int) -> None:
    assert answer.status == status, answer


def test_strict_refuses_plaintext_and_serves_the_mesh(shop: Shop) -> None:
    details = shop.address("details")
    _is(ask(details, "/details/0", port=9080), 200)  # from outside of the mesh, in plaintext
    shop.apply(STRICT)
    eventually(lambda: _is(ask(details, "/details/0", port=9080), 0), 5)
    _is(shop.page("/api/v1/products/0"), 200)
    for pod in shop.pods():  # the kubelet's probes pass, because Envoy answers them
        assert all(c["status"] == "True" for c in pod["status"]["conditions"] if c["type"] == "Ready")


@pytest.mark.parametrize("turn", range(3))
def test_a_job_ends_and_its_first_instruction_may_be_a_call(shop: Shop, turn: int) -> None:
    job = FIRST_INSTRUCTION.replace("eager", f"eager-{turn}")
    shop.apply(job)
    shop.kubectl("wait", f"job/eager-{turn}", "--for=condition=Complete", "--timeout=60s")
    assert shop.kubectl("logs", f"job/eager-{turn}", "-c", f"eager-{turn}").strip() == "200"
    shop.delete(job)
