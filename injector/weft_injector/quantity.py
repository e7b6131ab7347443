"""Kubernetes' resource quantities: `100m`, `0.5`, `128Mi`, `1e3`."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from weft_core.model.scalars import refuse

_QUANTITY = re.compile(
    r"\+?(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
FIX = "write a quantity such as 100m or 2 (CPU), 128Mi or 1Gi (memory)"


def parse_quantity(text: str) -> Decimal:
    """The amount, in units (CPUs, bytes). Raises ValueError for what is no quantity, and for a negative one."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a quantity")
    number, suffix, exponent = found.groups()
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1024) ** _BINARY[suffix]
    return Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL[suffix or ""])


def _as_text(value: Any) -> Any:
    """`cpu: 2` is a number to YAML, and a quantity to Kubernetes."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _checked(text: str) -> str:
    try:
        parse_quantity(text)
    except ValueError as error:
        refuse(str(error), FIX)
    return text


Quantity = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked)]
