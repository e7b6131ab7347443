"""Types of single values: durations, host names, ports, percentages, regular expressions.

A validator here raises `PydanticCustomError` with the words for the user and, in its context, the fix; `decode` turns
both into a `Problem`. Numbers and booleans are strict: the API server would refuse `weight: "80"`, so Weft does too.
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from weft_core.model.frozen import FrozenDict

K = TypeVar("K")
V = TypeVar("V")

_UNITS = {"ns": 0.001, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7, "h": 3.6e9}
_DURATION = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION_PART = re.compile(_DURATION)
_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_FQDN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_WILDCARD = re.compile(rf"\*|(?:\*|\*-)?{_LABEL}(?:\.{_LABEL})*\.?|\*(?:\.{_LABEL})+\.?")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def refuse(message: str, fix: str = "") -> NoReturn:
    """Refuse the value being validated: what is wrong, and what to write instead."""
    raise PydanticCustomError("weft", "{message}", {"message": message, "fix": fix})


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `1.5s`, `10ms` (Go's syntax) as a timedelta, truncated to microseconds.

    Raises ValueError for anything else, a bare number and a sign included.
    """
    if text == "0":
        return timedelta()
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(parts) != text:
        raise ValueError(text)
    micros = 0.0
    for part in parts:
        unit = part.lstrip("0123456789.")
        micros += float(part[: -len(unit)]) * _UNITS[unit]
    try:
        return timedelta(microseconds=round(micros, 3))
    except OverflowError:
        raise ValueError(text) from None


def format_duration(value: timedelta) -> str:
    """A timedelta in the form that `parse_duration` reads: whole or decimal seconds."""
    seconds, micros = divmod(value // timedelta(microseconds=1), 1_000_000)
    return f"{seconds}.{micros:06d}".rstrip("0") + "s" if micros else f"{seconds}s"


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        refuse(f"{value} is a number without a unit", f'write "{value}s" for seconds, or with ms, m or h')
    if not isinstance(value, str):
        refuse("a duration is a text such as 5s", "write a number with a unit: 10ms, 5s, 1m30s, 1h")
    try:
        return parse_duration(value)
    except ValueError:
        refuse(f"`{value}` is not a duration", "write a number with a unit: 10ms, 5s, 1m30s, 1h")


def _zero_or_more(value: timedelta) -> timedelta:
    if timedelta() < value < timedelta(milliseconds=1):
        refuse("the duration is below 1ms", "write 1ms or more, or 0s")
    return value


def _at_least_1ms(value: timedelta) -> timedelta:
    if value < timedelta(milliseconds=1):
        refuse("the duration is below 1ms", "write 1ms or more, or leave the field out")
    return value


_AS_TEXT = (
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^(?:0|(?:{_DURATION})+)$"}),
)
DurationOrZero = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_zero_or_more), *_AS_TEXT]
"""A duration that may be 0 (off, unlimited, a session cookie …)."""
Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_at_least_1ms), *_AS_TEXT]
"""A duration of 1 ms or more, as Istio's schema demands nearly everywhere."""

Int = Annotated[int, Strict()]
UInt = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
"""Has its range already: pydantic ignores a second `ge` or `le` on the field, where `Int` is the one to use."""
Bool = Annotated[bool, Strict()]
Number = Annotated[float, Strict()]
PortNumber = Annotated[int, Strict(), Field(ge=1, le=65535)]
PercentNumber = Annotated[float, Strict(), Field(ge=0, le=100)]
NonEmpty = Annotated[str, Field(min_length=1)]

FrozenMap = Annotated[Mapping[K, V], AfterValidator(FrozenDict)]
"""A map that cannot be written to, so that the model around it can be hashed."""
Labels = FrozenMap[str, str]


def is_ip(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_cidr(text: str) -> bool:
    """Whether it is an address, or one with a prefix length. Host bits may be set, as in Go's parser."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" not in text or text.rsplit("/", 1)[1].isdigit()


def is_host(text: str, *, wildcard: bool) -> bool:
    """Whether it is a DNS name (short or full), or with `wildcard` also `*` and `*.example.com`."""
    form = _WILDCARD if wildcard else _FQDN
    return len(text) <= 255 and all(len(p) <= 63 for p in text.split(".")) and bool(form.fullmatch(text))


def _host(value: str) -> str:
    if not is_host(value, wildcard=False):
        refuse(f"`{value}` is not a host name", "write a DNS name: weft.example.com")
    return value


def _service_host(value: str) -> str:
    if value == "*":
        refuse("`*` is no service", "write the name of one service")
    if not is_host(value, wildcard=True):
        refuse(f"`{value}` is not a host name", "write a DNS name: reviews, reviews.shop.svc.cluster.local")
    return value


def _wildcard_host(value: str) -> str:
    if not is_host(value, wildcard=True):
        fix = "write a DNS name, or a wildcard in front only: *.example.com"
        if value.lower().startswith(("http://", "https://")):
            fix = f"leave scheme and path out: {re.split('[/:]', value.split('//', 1)[1])[0]}"
        refuse(f"`{value}` is not a host name", fix)
    return value


def _host_or_ip(value: str) -> str:
    return value if is_ip(value) else _wildcard_host(value)


def _address(value: str) -> str:
    if not is_ip(value):
        refuse(f"`{value}` is not an IP address", "write an IPv4 or IPv6 address: 10.0.0.1")
    return value


def _cidr(value: str) -> str:
    if not is_cidr(value):
        refuse(f"`{value}` is neither an IP address nor a range", "write 10.0.0.1 or 10.0.0.0/16")
    return value


def is_header_name(text: str) -> bool:
    """Whether it is a token as RFC 9110 wants header names to be."""
    return bool(_HEADER_NAME.fullmatch(text))


def is_label(text: str) -> bool:
    """Whether it is one part of a DNS name, as names of ports are."""
    return len(text) <= 63 and bool(_DNS_LABEL.fullmatch(text))


def check_header_name(value: str) -> str:
    """The value, if it is a header's name."""
    if not is_header_name(value):
        refuse(f"`{value}` is not a header name", "write letters, digits and hyphens only: x-user-group")
    return value


Host = Annotated[str, AfterValidator(_host)]
"""One host or domain, without a wildcard."""
ServiceHost = Annotated[str, AfterValidator(_service_host)]
"""The host of one service: a short name (`reviews`), a full one, or a ServiceEntry's wildcard as it stands there."""
WildcardHost = Annotated[str, AfterValidator(_wildcard_host)]
"""A host, `*`, or `*.example.com`."""
HostOrAddress = Annotated[str, AfterValidator(_host_or_ip)]
Address = Annotated[str, AfterValidator(_address)]
Cidr = Annotated[str, AfterValidator(_cidr)]
"""An address, alone or with a prefix length."""
HeaderName = Annotated[str, AfterValidator(check_header_name)]
"""A regular expression in RE2's syntax."""
