"""Gateway (networking.istio.io): the ports and hosts that a load balancer at the mesh's edge opens."""

from collections.abc import Iterator

from pydantic import Field

from weft_core.model.base import Model, selector_mistakes
from weft_core.model.export import is_namespace
from weft_core.model.frozen import EMPTY
from weft_core.model.mistake import Mistake
from weft_core.model.port import HTTP_PROTOCOLS, TLS_PROTOCOLS, Port
from weft_core.model.scalars import Labels, is_host, is_ip
from weft_core.model.server_tls import ServerTLSMode, ServerTLSSettings, TLSCertificate, TLSProtocol
from weft_core.model.workload_entry import UNIX
from weft_core.problems import Code, Severity

__all__ = ["Gateway", "Port", "Server", "ServerTLSMode", "ServerTLSSettings", "TLSCertificate", "TLSProtocol"]


class Server(Model):
    """A port, the hosts that are served on it, and its TLS."""

    port: Port = Field(description="Port of the gateway's Service.")
    bind: str = Field("", description="Address or unix:// path to listen on; every address by default.")
    hosts: tuple[str, ...] = Field(min_length=1, description="[namespace/]host; VirtualServices attach to them.")
    tls: ServerTLSSettings | None = Field(None, description="TLS; needed for HTTPS and TLS.")
    default_endpoint: str = Field("", description="Has no effect.")
    name: str = Field("", description="For logs and statistics.")

    def check(self) -> Iterator[Mistake]:
        """Hosts are well-formed; TLS fits the protocol."""
        for index, host in enumerate(self.hosts):
            if reason := _host_error(host):
                yield Mistake(
                    path=("hosts", index),
                    message=f"`{host}`: {reason}",
                    fix="write shop.example.com, *.example.com, * or namespace/shop.example.com",
                )
        if not self.port.number and not self.bind.startswith(UNIX):
            yield Mistake(path=("port", "number"), message="the port has no number", fix="write 1 to 65535")
        path = self.bind.removeprefix(UNIX)
        if self.bind and not (is_ip(self.bind) or (path != self.bind and path.startswith(("/", "@")))):
            yield Mistake(
                path=("bind",),
                message=f"`{self.bind}` is neither an IP address nor a Unix socket",
                fix="write 10.0.0.1 or unix:///path/to/socket",
            )
        protocol = self.port.protocol
        if protocol in TLS_PROTOCOLS:
            if self.tls is None:
                yield Mistake(path=("tls",), message=f"{protocol} needs tls", fix="add tls.mode and certificates")
            elif self.tls.https_redirect:
                yield Mistake(
                    path=("tls", "httpsRedirect"),
                    severity=Severity.WARNING,
                    code=Code.SCHEMA_WARNING,
                    message="httpsRedirect only has an effect on plain HTTP",
                    fix="move it to the server with protocol HTTP",
                )
        elif self.tls is not None and not (protocol in HTTP_PROTOCOLS and _only_redirects(self.tls)):
            yield Mistake(
                path=("tls",),
                message=f"{protocol} is plain text, and here it has TLS settings",
                fix="write protocol: HTTPS (or TLS), or remove tls",
            )
        if self.default_endpoint:
            yield Mistake(
                path=("defaultEndpoint",),
                severity=Severity.WARNING,
                code=Code.UNSUPPORTED_FIELD,
                message="defaultEndpoint has no effect",
                fix="route with a VirtualService",
            )


class Gateway(Model):
    """Servers for the gateway pods that the selector picks."""

    selector: Labels = Field(EMPTY, description="Labels of the gateway pods, in any namespace.")
    servers: tuple[Server, ...] = Field(min_length=1, description="Ports and hosts.")

    def check(self) -> Iterator[Mistake]:
        """Port names and server names are unique."""
        yield from selector_mistakes(self.selector, "selector")
        names: dict[str, int] = {}
        ports: dict[str, int] = {}
        for index, server in enumerate(self.servers):
            if server.name and names.setdefault(server.name, index) != index:
                yield _twice(index, ("name",), server.name, names[server.name])
            if ports.setdefault(server.port.name, index) != index:
                yield _twice(index, ("port", "name"), server.port.name, ports[server.port.name])


def _twice(index: int, path: tuple[str, ...], name: str, first: int) -> Mistake:
    return Mistake(
        path=("servers", index, *path),
        message=f"`{name}` is already the name at servers[{first}]",
        fix="give each server a name and a port name of its own",
    )


def _only_redirects(tls: ServerTLSSettings) -> bool:
    return tls.mode is ServerTLSMode.PASSTHROUGH and not tls.certificate_fields


def _host_error(text: str) -> str | None:
    """Why `[namespace/]host` is not well-formed, or None."""
    namespace, slash, host = text.rpartition("/")
    if slash and namespace not in {"*", "."} and not is_namespace(namespace):
        return "the part before the slash is no namespace"
    if is_ip(host):
        return None
    if not is_host(host, wildcard=True):
        return "it is not a host name"
    if host.startswith("*") and host != "*" and not host.startswith("*."):
        return "a `*` stands for whole parts of a name"
    if host != "*" and "." not in host:
        return "short names mean nothing outside of the cluster"
    return None
