"""What every object has beside its spec: name, namespace, labels, age, and where it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from weft_core.model.frozen import EMPTY
from weft_core.problems import ObjectRef, Source

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Identity and metadata of one object. `created` is RFC 3339 in UTC as the API server writes it, or empty.

    `resource_version`, `generation` and `source` say when and where a version was read, not what it means: they do not
    count in comparisons, so that a status write or a moved line disturbs no reader.
    """

    kind: str
    namespace: str = ""
    name: str
    uid: str = ""
    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY
    created: str = ""
    generation: int = field(default=0, compare=False)
    resource_version: str = field(default="", compare=False)
    source: Source = field(default=Source(), compare=False)

    @property
    def ref(self) -> ObjectRef:
        """Kind, namespace and name: the object's address in problems and tables."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def age_key(self) -> tuple[str, str, str]:
        """Sort key under which the oldest object comes first, ties by name, then namespace.

        RFC 3339 in UTC sorts as text. Objects read from files have no creation time; among themselves they sort by
        name, and before those that have one.
        """
        return (self.created, self.name, self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Generic[S]):
    """One mesh resource: `meta` and the model of its `spec`."""

    meta: Meta
    spec: S
