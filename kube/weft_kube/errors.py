"""What the Kubernetes API may answer instead of what was asked for.

EnvironmentFault
└── ApiError                what the server said, or that it said nothing
    ├── Unavailable         no answer, or one that says "later" (429, 5xx): worth another try
    ├── NotFound            404
    ├── Conflict            409: somebody else has written meanwhile
    │   └── AlreadyExists   409 on create
    ├── Gone                410: the resource version is too old, list anew
    ├── Forbidden           403: RBAC does not allow it
    │   └── Unauthenticated 401: the token or certificate is not one that the server knows
    └── Invalid             400, 422: the object is refused
"""

from typing import Final

from weft_core.errors import EnvironmentFault


class ApiError(EnvironmentFault):
    """A request failed. `status` is HTTP's, 0 where there was no answer; `reason` is Kubernetes' word for it."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        """Seconds that the server asks to wait."""


class Unavailable(ApiError):
    """The server cannot be reached, is overloaded or broken. The same request may work later."""


class NotFound(ApiError):
    """There is no such object, or no such resource."""


class Conflict(ApiError):
    """The object has changed since it was read, or a precondition does not hold."""


class AlreadyExists(Conflict):
    """An object of this name is there."""


class Gone(ApiError):
    """History from this resource version on is no longer there (RFC 9110's 410): list anew."""


class Forbidden(ApiError):
    """We may not do this."""


class Unauthenticated(Forbidden):
    """Who we are is not known: no right would help. A token that was just replaced is no reason, it is read anew."""

    FIX: Final = "see whether our token or certificate is expired, or its account gone"
    """What is to be done about it, for logs."""


class Invalid(ApiError):
    """The server refuses the request as it is written."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Unavailable,
}


def api_error(
    status: int, *, reason: str = "", message: str = "", doing: str = "", retry_after: float | None = None
) -> ApiError:
    """The exception for an answer; `doing` is the request, for the message: `GET /api/v1/pods`."""
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif reason in {"Expired", "Gone"}:
        kind = Gone
    text = message or reason or "no reason given"
    return kind(f"{doing}: {status} {text}".lstrip(": "), status=status, reason=reason, retry_after=retry_after)
