"""Answers that the proxy gives by itself: redirections and fixed responses."""

import base64

from weft_core.ir.route import DirectResponse, Redirect
from weft_core.model.virtual_service import HTTPDirectResponse, HTTPRedirect, RedirectPortSelection

_DEFAULT_PORTS = {"http": 80, "https": 443}


def redirect(written: HTTPRedirect, port: int) -> Redirect:
    """A redirection of requests that came in at `port`.

    A port that the scheme implies anyway is left out; without port and `derivePort` the request's own is kept, which
    Envoy drops when the scheme changes.
    """
    target = written.port or 0
    if written.derive_port is RedirectPortSelection.FROM_REQUEST_PORT:
        target = port
    if target == _DEFAULT_PORTS.get(written.scheme):
        target = 0
    return Redirect(
        path=written.uri,
        prefix=written.prefix_rewrite or "",
        host=written.authority,
        scheme=written.scheme,
        port=target,
        code=written.redirect_code,
    )


def direct_response(written: HTTPDirectResponse) -> DirectResponse:
    """A fixed status and body. A body of bytes is base64 in the object."""
    body = written.body
    if body is None:
        return DirectResponse(status=written.status)
    content = base64.b64decode(body.bytes_) if body.bytes_ is not None else (body.string or "").encode()
    return DirectResponse(status=written.status, body=content)
