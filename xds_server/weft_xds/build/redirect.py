"""Redirections and fixed responses."""

from typing import Final

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, RedirectAction

from weft_core.ir import route as ir

_CODES: Final = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}


def build_redirect(redirect: ir.Redirect) -> RedirectAction:
    """Envoy's message."""
    message = RedirectAction(
        host_redirect=redirect.host, port_redirect=redirect.port, response_code=_CODES[redirect.code]
    )
    if redirect.scheme:
        message.scheme_redirect = redirect.scheme
    if redirect.prefix:
        message.prefix_rewrite = redirect.prefix
    elif redirect.path:
        message.path_redirect = redirect.path
    return message


def build_direct_response(response: ir.DirectResponse) -> DirectResponseAction:
    """Envoy's message. A body that is not text in UTF-8 travels as bytes."""
    message = DirectResponseAction(status=response.status)
    if response.body:
        message.body.CopyFrom(_body(response.body))
    return message


def _body(body: bytes) -> DataSource:
    try:
        return DataSource(inline_string=body.decode())
    except UnicodeDecodeError:
        return DataSource(inline_bytes=body)
