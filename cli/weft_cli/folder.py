"""Sets of YAML files as a source of objects. A file that did not change since the last reading is not parsed again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft_cli.sources import read_sources
from weft_core.load.folder import Guarded, LoadedObject, LoadResult, load_file, merge
from weft_core.load.locate import Locator
from weft_core.load.mesh import NAMES, is_mesh_config_map, load_mesh_config, mesh_config_of
from weft_core.model.guard import Guard
from weft_core.model.kubernetes import ConfigMap
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import ObjectRef, Problem, Source

OWN_NAMESPACE = "weft-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """All objects of some files, and what is wrong with what could not be read."""

    objects: tuple[LoadedObject, ...]
    problems: tuple[Problem, ...]
    held: frozenset[ObjectRef]
    """Objects that are there but can't be read: whoever has an earlier version of them keeps it."""
    guards: tuple[Guard, ...]
    """What stands in for security policies that can't be read, wherever there is no earlier version of them."""
    mesh: MeshConfig | None


class FolderSource:
    """Files and folders, read again and again. The mesh-wide settings are a file's, or a ConfigMap's among the rest."""

    def __init__(self, paths: Sequence[Path], mesh_config: Path | None = None) -> None:
        self._paths = paths
        self._mesh_config = mesh_config
        self._parsed: dict[str, tuple[str, LoadResult]] = {}
        self._files: dict[ObjectRef, str] = {}
        """Where each object was read last."""
        self._guarded: Mapping[ObjectRef, Guarded] = {}
        self._mesh: MeshConfig | None = None
        self._mesh_map: ObjectRef | None = None
        """The ConfigMap that the settings in force were read from."""
        self._sources: Mapping[ObjectRef, Source] = {}
        self._locator = Locator()

    def read(self) -> Loaded:
        """Read all. Raises EnvironmentFault where a path that was named can't be read."""
        texts = dict(read_sources(self._paths))
        self._parsed = {path: self._parse(path, text) for path, text in texts.items()}
        found = merge(result for _, result in self._parsed.values())
        refused = {ref: each for ref, each in found.guarded.items() if not each.salvaged}
        known = {ref: each.source for ref, each in refused.items()} | dict(found.sources)
        lost = {ref for ref, file in self._files.items() if file in found.unreadable and ref not in known}
        kept = {ref: self._guarded[ref] for ref in lost & self._guarded.keys()}
        self._guarded = refused | self._salvaged(found, lost) | kept
        held = found.rejected | lost
        self._files = {ref: self._files[ref] for ref in held & self._files.keys()} | {
            ref: source.file for ref, source in known.items()
        }
        self._sources = {ref: each.source for ref, each in self._guarded.items()} | dict(found.sources)
        problems = () if self._mesh_map in held else self._read_mesh(found)
        return Loaded(
            objects=found.objects,
            problems=(*found.problems, *problems),
            held=held,
            guards=tuple(each.guard for each in self._guarded.values()),
            mesh=self._mesh,
        )

    @property
    def texts(self) -> Mapping[str, str]:
        """The files of the last reading, by name."""
        return {path: text for path, (text, _) in self._parsed.items()}

    def locate(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Problems of views with file and line, as far as they are about objects of the last reading."""
        return self._locator.locate(problems, self._sources, self.texts)

    def _salvaged(self, found: LoadResult, lost: Collection[ObjectRef]) -> dict[ObjectRef, Guarded]:
        """What was made out of texts that are no YAML: nothing where it is a policy that could be read before."""
        before = {(self._files[ref], ref.kind) for ref in lost}
        return {
            ref: each
            for ref, each in found.guarded.items()
            if each.salvaged and (each.source.file, ref.kind) not in before
        }

    def _parse(self, path: str, text: str) -> tuple[str, LoadResult]:
        known = self._parsed.get(path)
        return known if known is not None and known[0] == text else (text, load_file(path, text))

    def _read_mesh(self, found: LoadResult) -> tuple[Problem, ...]:
        """Read the mesh-wide settings. Those with an error leave the last good ones in force."""
        if self._mesh_config is not None:
            ((path, text),) = read_sources([self._mesh_config])
            loaded = load_mesh_config(text, path)
            self._mesh = self._mesh if loaded.config is None else loaded.config
            return loaded.problems
        maps = [
            item for item in found.objects if isinstance(item, ConfigMap) and is_mesh_config_map(item, OWN_NAMESPACE)
        ]
        if not maps:
            self._mesh, self._mesh_map = None, None
            return ()
        chosen = min(maps, key=lambda config_map: NAMES.index(config_map.name))
        loaded = mesh_config_of(chosen, found.sources[chosen.ref])
        if loaded.config is not None:
            self._mesh, self._mesh_map = loaded.config, chosen.ref
        return loaded.problems
