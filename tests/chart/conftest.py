"""The charts, rendered by a real helm: the one on PATH, or one that is built once. Without either, skipped by name."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from bringup.binaries import built
from bringup.errors import Unavailable

CHARTS = Path(__file__).parents[2] / "charts"
POD_CERTIFICATES = "certificates.k8s.io/v1/PodCertificateRequest"

Objects = dict[tuple[str, str], Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to wait for helm to be built, from an empty cache."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def helm() -> Path:
    """The program."""
    if found := shutil.which("helm"):
        return Path(found)
    try:
        return built("helm")
    except Unavailable as reason:
        pytest.skip(f"charts are not tested: helm can't be had here: {reason}")


@pytest.fixture(scope="session")
def template(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`helm template` of a chart, whatever comes of it; each distinct call is made once.

    Without CRDs, unless values ask for them: they are most of what there is to render and to read.
    """
    home = tmp_path_factory.mktemp("helm")
    environment = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    def run(
        values: Mapping[str, Any] | None = None,
        *,
        chart: str = "weft",
        release: str = "weft",
        namespace: str = "weft-system",
        api_versions: tuple[str, ...] = (POD_CERTIFICATES,),
        kube_version: str = "1.37.2",
    ) -> subprocess.CompletedProcess[str]:
        without = {"crds": {"install": False}} if chart == "weft" else {}
        text = json.dumps(without | dict(values or {}))
        command = [str(helm), "template", release, str(CHARTS / chart), "--namespace", namespace, "--values", "-"]
        command += ["--kube-version", kube_version]
        command += [f"--api-versions={version}" for version in api_versions]
        key = json.dumps([command, text])
        if key not in done:
            done[key] = subprocess.run(
                command, input=text, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
        return done[key]

    return run


@pytest.fixture(scope="session")
def documents(template: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., list[Any]]:
    """The objects that a chart makes of values. Do not change them: they are read once."""
    read: dict[str, list[Any]] = {}

    def objects(values: Mapping[str, Any] | None = None, **more: Any) -> list[Any]:
        done = template(values, **more)
        assert done.returncode == 0, done.stderr
        if done.stdout not in read:
            found = yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
            read[done.stdout] = [document for document in found if document]
        return read[done.stdout]

    return objects


@pytest.fixture(scope="session")
def render(documents: Callable[..., list[Any]]) -> Callable[..., Objects]:
    """The same by kind and name."""

    def objects(values: Mapping[str, Any] | None = None, **more: Any) -> Objects:
        made = documents(values, **more)
        found = {(document["kind"], document["metadata"]["name"]): document for document in made}
        assert len(found) == len(made), "two objects of one kind and name"
        return found

    return objects


@pytest.fixture(scope="session")
def refusal(template: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., str]:
    """What helm says of values that a chart refuses."""

    def text(values: Mapping[str, Any], **more: Any) -> str:
        done = template(values, **more)
        assert done.returncode != 0, f"{values} were taken"
        return done.stderr

    return text


@pytest.fixture(scope="session")
def charts() -> Path:
    """The folder of the charts."""
    return CHARTS
