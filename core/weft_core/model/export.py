"""`exportTo`: the namespaces in which an object of the networking kinds is seen."""

import re
from typing import Annotated

from pydantic import AfterValidator

from weft_core.model.scalars import refuse

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def is_namespace(text: str) -> bool:
    """Whether a namespace can have this name."""
    return bool(_NAMESPACE.fullmatch(text))


def _export_to(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value not in {".", "*", "~"} and not is_namespace(value):
            refuse(f"`{value}` is not a namespace", "write `.` (this one), `*` (all), `~` (none) or names")
    if len(set(values)) != len(values):
        refuse("a namespace is listed twice", "list each once")
    if len(values) > 1 and {"*", "~"} & set(values):
        refuse("`*` and `~` stand for all and for none, so they stand alone", "keep one of them, or the names")
    return values


ExportTo = Annotated[tuple[str, ...], AfterValidator(_export_to)]
"""`.` own namespace, `*` all, `~` none, or namespaces by name. Empty: the mesh's default."""
