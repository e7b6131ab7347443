"""Volumes that a pod's annotations add for its proxy: `userVolume` and `userVolumeMount`.

Both are JSON objects by the volume's name, with a volume's source and with where it is mounted. A list, whose members
say their names, is taken too, as Istio's template happens to. People bring their own keys and roots to the proxy that
way, for a DestinationRule that names them as files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from weft_core.model.mistake import describe
from weft_injector.patch.annotations import SIDECAR, Annotations
from weft_injector.patch.volumes import VOLUME

USER_VOLUME: Final = f"{SIDECAR}userVolume"
USER_VOLUME_MOUNT: Final = f"{SIDECAR}userVolumeMount"
_PATH: Final = "mountPath"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserVolumes:
    """Members of the pod's `volumes` and of the proxy's `volumeMounts`.

    A volume may stand in the pod's own spec instead, which also wins where both have the name.
    """

    volumes: tuple[Mapping[str, Any], ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, annotations: Annotations) -> "UserVolumes":
        """What the annotations say; what can't be read is noted there. Kubernetes looks at the rest."""
        return cls(
            volumes=annotations.read(USER_VOLUME, _sources, 'write {"NAME": {"secret": {"secretName": "…"}}}', ()),
            mounts=annotations.read(USER_VOLUME_MOUNT, _mounts, 'write {"NAME": {"mountPath": "/…"}}', ()),
        )


def _sources(text: str) -> tuple[Mapping[str, Any], ...]:
    return _members(text, _check_name)


def _mounts(text: str) -> tuple[Mapping[str, Any], ...]:
    return _members(text, _check_mount)


def _members(text: str, check: Callable[[str, Mapping[str, Any]], None]) -> tuple[Mapping[str, Any], ...]:
    """The members of a list of Kubernetes' that a JSON object stands for. Raises ValueError."""
    try:
        written = msgspec.json.decode(text.encode(), type=dict[str, dict[str, Any]] | list[dict[str, Any]])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"it is no JSON object of objects: {error}") from None
    members = written if isinstance(written, list) else [{**member, "name": name} for name, member in written.items()]
    for member in members:
        name = member.get("name")
        if not isinstance(name, str):
            raise ValueError("a member of the list has no name")
        check(name, member)
    return tuple(members)


def _check_name(name: str, _member: Mapping[str, Any]) -> None:
    if name == VOLUME:
        raise ValueError(f"the injector adds a volume named {VOLUME} itself")


def _check_mount(name: str, member: Mapping[str, Any]) -> None:
    if not isinstance(member.get(_PATH), str):
        raise ValueError(f"`{describe(name)}` has no {_PATH}")
