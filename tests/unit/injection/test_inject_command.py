"""`weft inject`: workloads get their sidecar, everything else is printed to the letter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft_cli.inject import run_inject
from weft_core.errors import EnvironmentFault

Run = Callable[..., tuple[int, str, str]]

SERVICE = """\
# what people call it
apiVersion: v1
kind: Service
metadata: {name: web}   # short
spec:
  ports: [ {port: 80} ]
"""
TEMPLATE = "{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: web}]}}"
DEPLOYMENT = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{number: "1e3", octal: '0o17', word: "yes"}}}}
spec: {{replicas: 1, template: {TEMPLATE}}}
"""
DISABLED = """\
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {weft.dev/injection: disabled}}
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on texts; gives exit code, standard output and standard error."""

    def inject(*texts: str, **options: Any) -> tuple[int, str, str]:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.yaml"
            path.write_text(text)
            paths.append(path)
        code = run_inject(paths, **options)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return inject


def containers(document: Any, *path: str) -> list[str]:
    for step in path:
        document = document[step]
    spec = document["spec"]
    return [container["name"] for container in (*spec.get("initContainers", ()), *spec["containers"])]


WITH_SIDECAR = ["weft-redirect", "istio-proxy", "app"]


def test_what_holds_no_pod_is_printed_to_the_letter(run: Run) -> None:
    assert run(SERVICE) == (0, SERVICE, "")


def test_a_second_run_changes_nothing(run: Run) -> None:
    code, once, _ = run(f"{SERVICE}---\n{DEPLOYMENT}")
    assert code == 0
    assert once.startswith(SERVICE)
    assert run(once) == (0, once, "")


@pytest.mark.parametrize(
    ("api", "kind", "path"),
    [
        ("apps/v1", "Deployment", ("spec", "template")),
        ("v1", "DeploymentConfig", ("spec", "template")),
        ("apps/v1", "StatefulSet", ("spec", "template")),
        ("apps/v1", "DaemonSet", ("spec", "template")),
        ("apps/v1", "ReplicaSet", ("spec", "template")),
        ("batch/v1", "Job", ("spec", "template")),
        ("v1", "ReplicationController", ("spec", "template")),
        ("batch/v1", "CronJob", ("spec", "jobTemplate", "spec", "template")),
        ("v1", "Pod", ()),
        ("v1", "PodTemplate", ("template",)),
        ("apps.openshift.io/v1", "DeploymentConfig", ("spec", "template")),
        ("argoproj.io/v1alpha1", "Rollout", ("spec", "template")),
    ],
)
def test_every_kind_of_workload(run: Run, api: str, kind: str, path: tuple[str, ...]) -> None:
    document: Any = yaml.safe_load(TEMPLATE)
    for step in reversed(path):
        document = {step: document}
    metadata = {**document.get("metadata", {}), "name": "web"}
    code, out, err = run(yaml.safe_dump({**document, "apiVersion": api, "kind": kind, "metadata": metadata}))
    assert (code, err) == (0, "")
    assert containers(yaml.safe_load(out), *path) == WITH_SIDECAR
    assert '"WORKLOAD_NAME":"web"' in out


def test_lists_and_many_documents(run: Run) -> None:
    items = [yaml.safe_load(DEPLOYMENT), yaml.safe_load(SERVICE)]
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    code, out, _ = run(f"---\n{text}---\n\n---\n{DEPLOYMENT}", SERVICE)
    documents = list(yaml.safe_load_all(out))
    assert code == 0
    assert [document["kind"] for document in documents] == ["List", "Deployment", "Service"]
    assert containers(documents[0]["items"][0], "spec", "template") == WITH_SIDECAR
    assert documents[0]["items"][1] == items[1]


def test_json_is_taken_as_well(run: Run) -> None:
    _, out, _ = run(
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "app"}]}}'
    )
    assert containers(yaml.safe_load(out)) == WITH_SIDECAR


def test_text_stays_text_to_kubectl(run: Run) -> None:
    _, out, _ = run(DEPLOYMENT)
    assert "number: '1e3'" in out
    assert "octal: '0o17'" in out
    assert "word: 'yes'" in out


def test_a_refused_workload_is_left_out_and_told(run: Run) -> None:
    bad = DEPLOYMENT.replace("{labels: {app: web}}", '{annotations: {sidecar.istio.io/proxyCPU: "x"}}')
    code, out, err = run(f"{SERVICE}---\n{bad}---\n{SERVICE}")
    assert code == 79
    assert out == f"{SERVICE}---\n{SERVICE}"
    assert "0.yaml:8: error IST0106 Deployment default/web" in err
    assert "spec.template.metadata.annotations[sidecar.istio.io/proxyCPU]" in err


def test_malformed_yaml_is_told_and_the_rest_is_done(run: Run) -> None:
    code, out, err = run(f"a: [\n---\n{DEPLOYMENT}")
    assert code == 79
    assert "0.yaml:2: error WEFT0001" in err
    assert out.startswith("a: [\n---\n")
    assert "istio-proxy" in out


def test_warnings_do_not_fail(run: Run) -> None:
    odd = DEPLOYMENT.replace("{labels: {app: web}}", '{annotations: {sidecar.istio.io/proxyCpu: "1"}}')
    code, out, err = run(odd)
    assert code == 0
    assert "istio-proxy" in out
    assert "warning IST0133" in err


@pytest.mark.parametrize(
    "text",
    [
        DEPLOYMENT.replace("app: web", 'sidecar.istio.io/inject: "false"'),
        DEPLOYMENT.replace("{name: web, ", "{name: web, namespace: kube-system, "),
        f"{DISABLED}---\n{DEPLOYMENT}",
    ],
)
def test_who_opts_out_is_left_alone(run: Run, text: str) -> None:
    assert run(text) == (0, text, "")


def test_who_can_have_no_sidecar_is_told(run: Run) -> None:
    code, out, err = run(DEPLOYMENT.replace("spec: {containers", "spec: {hostNetwork: true, containers"))
    assert code == 0
    assert containers(yaml.safe_load(out), "spec", "template") == ["app"]
    assert "spec.template.spec: no sidecar was added" in err


def test_settings_and_mesh_configuration_are_files(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("image: mine:1\nnativeSidecar: disabled\n")
    mesh = tmp_path / "mesh"
    mesh.write_text("defaultConfig: {concurrency: 7}\n")
    _, out, _ = run(DEPLOYMENT, settings=settings, mesh_config=mesh)
    template = yaml.safe_load(out)["spec"]["template"]
    proxy = template["spec"]["containers"][0]
    assert (proxy["name"], proxy["image"]) == ("istio-proxy", "mine:1")
    assert proxy["args"][proxy["args"].index("--concurrency") + 1] == "7"


def test_settings_that_are_wrong_end_the_command(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("imagee: mine\n")
    with pytest.raises(EnvironmentFault, match="imagee"):
        run(DEPLOYMENT, settings=settings)


def test_the_namespace_of_what_names_none(run: Run) -> None:
    code, out, _ = run(DEPLOYMENT, namespace="kube-system")
    assert (code, out) == (0, DEPLOYMENT)


def test_what_seems_to_make_pods_and_is_not_known_is_told(run: Run) -> None:
    served = (
        f"apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{template: {TEMPLATE}}}\n"
    )
    code, printed, said = run(served)
    assert (code, printed) == (0, served)
    assert "pods of serving.knative.dev/v1 Service are not known here" in said


def test_a_pod_of_a_file_belongs_to_its_owner(run: Run) -> None:
    owner = "{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true, uid: u}"
    metadata = f"{{name: db-0, ownerReferences: [{owner}]}}"
    _, printed, _ = run(f"apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {{containers: [{{name: app}}]}}\n")
    assert yaml.safe_load(printed)["metadata"]["labels"]["service.istio.io/canonical-name"] == "db"


def test_what_is_about_pods_and_stands_on_the_workload_is_told(run: Run) -> None:
    written = "{sidecar.istio.io/proxyCPU: 1m, traffic.sidecar.istio.io/excludeInboundPorts: '80', mine: x}"
    labels = "{sidecar.istio.io/inject: 'false', app: web}"
    metadata = f"{{name: web, annotations: {written}, labels: {labels}}}"
    document = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {metadata}\nspec: {{template: {TEMPLATE}}}\n"
    code, printed, said = run(document)
    assert code == 0
    assert containers(yaml.safe_load(printed), "spec", "template") == WITH_SIDECAR
    assert said.count("IST0107") == 3
    assert "metadata.labels[sidecar.istio.io/inject]: it is about pods, and has no effect here" in said
    assert "move it to spec.template.metadata.labels" in said


def test_labels_that_a_chart_writes_everywhere_are_no_mistake(run: Run) -> None:
    labels = "{metadata: {labels: {sidecar.istio.io/inject: 'true'}}"
    template = f"{labels}, spec: {{containers: [{{name: app}}]}}}}"
    document = f"apiVersion: apps/v1\nkind: Deployment\n{labels[1:].replace('metadata: {', 'metadata: {name: web, ')}\n"
    _, _, said = run(f"{document}spec: {{template: {template}}}\n")
    assert said == ""
