"""A real API server takes what the injector makes of pods, where it takes the pods themselves."""

import json
from typing import Any

import pytest
import yaml
from bringup import Cluster

from weft_injector.patch.inject import Surroundings, inject_pod
from weft_injector.settings import ClusterFeatures, InjectionSettings

Pod = dict[str, Any]

SHAPES = {
    "nothing but a container": "{}",
    "probes and hooks": """
      containers:
      - name: app
        image: app
        ports: [{name: http, containerPort: 80}]
        livenessProbe: {httpGet: {path: /l, port: http, scheme: HTTPS}, terminationGracePeriodSeconds: 5}
        readinessProbe: {tcpSocket: {port: http}}
        startupProbe: {grpc: {port: 80, service: shop}}
        lifecycle: {postStart: {httpGet: {port: http}}, preStop: {sleep: {seconds: 5}}}
    """,
    "native sidecars among init containers": """
      initContainers:
      - {name: one, image: app}
      - {name: two, image: app, restartPolicy: Always, startupProbe: {tcpSocket: {port: 80}}}
    """,
    "an own proxy": """
      containers:
      - {name: app, image: app}
      - name: istio-proxy
        image: auto
        resources: {limits: {cpu: 50m}}
        livenessProbe: {httpGet: {path: /healthz/ready, port: 15021}}
        volumeMounts: [{name: extra, mountPath: /extra}]
        securityContext: {runAsUser: 1234, runAsGroup: 4321, readOnlyRootFilesystem: false}
      volumes: [{name: extra, emptyDir: {}}]
    """,
    "resources of the pod as a whole": "{resources: {requests: {cpu: 50m}, limits: {cpu: 50m, memory: 64Mi}}}",
    "non-root, with a kernel parameter": """
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        fsGroup: 1337
        seccompProfile: {type: RuntimeDefault}
        appArmorProfile: {type: RuntimeDefault}
        sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]
    """,
    "namespaces and DNS of its own": """
      hostUsers: false
      shareProcessNamespace: true
      dnsPolicy: None
      dnsConfig: {nameservers: [10.0.0.1]}
      automountServiceAccountToken: false
      readinessGates: [{conditionType: example.com/ready}]
      os: {name: linux}
    """,
    "a run that ends": "{restartPolicy: Never, activeDeadlineSeconds: 5, terminationGracePeriodSeconds: 0}",
    "the node's network": "{hostNetwork: true}",
    "Windows": "{os: {name: windows}, nodeSelector: {kubernetes.io/os: windows}}",
}


@pytest.mark.parametrize("native", [True, False], ids=["native", "plain"])
@pytest.mark.parametrize("pod_certificates", [True, False], ids=["pod certificate", "secret"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_api_server_takes_it(
    api_server: Cluster, namespace: str, shape: str, native: bool, pod_certificates: bool
) -> None:
    spec = {"containers": [{"name": "app", "image": "app"}], **yaml.safe_load(SHAPES[shape])}
    injection = inject_pod(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0"}, "spec": spec},
        Surroundings(
            settings=InjectionSettings(),
            features=ClusterFeatures(native_sidecars=native, pod_certificates=pod_certificates),
            namespace=namespace,
            namespace_labels={"weft.dev/injection": "enabled"},
        ),
    )
    assert injection.pod is not None, injection.problems
    document = json.dumps(injection.pod)
    created = api_server.kubectl(
        "create", "--dry-run=server", "--output=json", "--filename=-", f"--namespace={namespace}", input=document
    )
    stored: Pod = json.loads(created)
    for field in ("containers", "initContainers"):
        given = injection.pod["spec"].get(field) or []
        assert [c["name"] for c in stored["spec"].get(field) or []] == [c["name"] for c in given]
        for kept, container in zip(stored["spec"].get(field) or [], given, strict=True):
            assert kept.get("restartPolicy") == container.get("restartPolicy"), "nothing was dropped as unknown"
