"""The mesh configuration, from a file or from the key `mesh` of a ConfigMap."""

from dataclasses import dataclass

from weft_core.load.yaml import load
from weft_core.model.explain import parse
from weft_core.model.kubernetes import ConfigMap
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.mistake import Mistake, Path
from weft_core.problems import ObjectRef, Problem, Severity, Source

MESH_KEY = "mesh"
NAMES = ("weft", "istio")
"""Names of the ConfigMap, in the order in which they are looked for: Weft's in its own namespace, then Istio's."""
ISTIO_NAMESPACE = "istio-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshLoaded:
    """A mesh configuration, or None where it has an error, and its problems."""

    config: MeshConfig | None = None
    problems: tuple[Problem, ...] = ()


def is_mesh_config_map(config_map: ConfigMap, own_namespace: str) -> bool:
    """Whether it holds the mesh configuration: `weft` in Weft's own namespace, or Istio's `istio`."""
    place = (config_map.namespace, config_map.name)
    return place in {(own_namespace, NAMES[0]), (ISTIO_NAMESPACE, NAMES[1])} and MESH_KEY in (config_map.data or {})


def load_mesh_config(text: str, file: str = "") -> MeshLoaded:
    """Read a file that is a mesh configuration and nothing else."""
    return _read(text, ObjectRef(kind="MeshConfig", name=file), file, ())


def mesh_config_of(config_map: ConfigMap, source: Source) -> MeshLoaded:
    """Read the key `mesh`. Without it, or empty, all settings have their defaults."""
    text = (config_map.data or {}).get(MESH_KEY, "")
    loaded = _read(text, config_map.ref, "", ("data", MESH_KEY))
    return MeshLoaded(config=loaded.config, problems=tuple(p.at(source) for p in loaded.problems))


def _read(text: str, ref: ObjectRef, file: str, prefix: Path) -> MeshLoaded:
    loaded = load(text, file)
    if loaded.problems:
        problems = (
            Problem(
                code=p.code,
                severity=p.severity,
                object=ref,
                path=p.path,
                message=p.message if file else f"{p.message} (line {p.source.line} of the text)",
                fix=p.fix,
                source=p.source,
            )
            for p in loaded.problems
        )
        return MeshLoaded(problems=tuple(problems))
    if not loaded.documents:
        return MeshLoaded(config=MeshConfig())
    document = loaded.documents[0]
    if len(loaded.documents) > 1:
        extra = Mistake(path=prefix, message="there is more than one document", fix="keep one")
        return MeshLoaded(problems=(extra.problem(ref, loaded.documents[1].source),))
    config, mistakes = parse(MeshConfig, document.value, prefix)
    problems_ = tuple(m.problem(ref, Source(file=file, line=document.line_of(m.path[len(prefix) :]))) for m in mistakes)
    if not isinstance(config, MeshConfig) or any(m.severity is Severity.ERROR for m in mistakes):
        return MeshLoaded(problems=problems_)
    return MeshLoaded(config=config, problems=problems_)
