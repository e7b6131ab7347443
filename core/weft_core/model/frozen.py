"""An immutable, hashable dictionary, for the maps of otherwise frozen models (labels, headers, port names)."""

from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that refuses every write, so that a model holding it can be hashed, shared and compared.

    It stays a real `dict` (C speed, `json`, pydantic), equal to any dict with the same entries.
    """

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]  # dict is unhashable because it is mutable; this is not
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def __reduce__(self) -> tuple[type["FrozenDict[K, V]"], tuple[dict[K, V]]]:
        return FrozenDict, (dict(self),)

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("FrozenDict is immutable")

    __setitem__ = __delitem__ = _refuse
    __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]


EMPTY: FrozenDict[str, str] = FrozenDict()
"""The one empty map of strings: default of labels and annotations."""
