"""What injection has to say about the workloads in files, for commands that inject nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from weft_core.load.yaml import load
from weft_core.model.decode import DEFAULT_NAMESPACE
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.mistake import parse_path
from weft_core.problems import Problem, Source
from weft_injector.patch.workloads import WorkloadInjector, namespace_labels
from weft_injector.settings import ClusterFeatures, InjectionSettings

ASSUMED_FEATURES = ClusterFeatures(native_sidecars=True)
"""What a cluster is taken to have, as none is asked: every Kubernetes that is still maintained has native sidecars."""


def injection_problems(texts: Mapping[str, str], mesh: MeshConfig | None) -> Iterator[Problem]:
    """The problems that a webhook of default settings would find in the pods of these files (text by name).

    Pods that would be skipped have none. A namespace counts as labelled, unless it is among the files and says
    `disabled`. What is no YAML is passed over.
    """
    documents = [document for file, text in texts.items() for document in load(text, file).documents]
    injector = WorkloadInjector(
        settings=InjectionSettings(),
        features=ASSUMED_FEATURES,
        mesh=mesh or MeshConfig(),
        default_namespace=DEFAULT_NAMESPACE,
        namespaces=dict(namespace_labels(document.value for document in documents)),
    )
    for document in documents:
        for problem in injector.rewrite(document.value).problems:
            line = document.line_of(parse_path(problem.path)) if problem.path else document.source.line
            yield replace(problem, source=Source(file=document.source.file, line=line))
