"""The gRPC server: `AggregatedDiscoveryService.DeltaAggregatedResources` on grpc.aio, bytes in and bytes out.

Nothing here knows what is served. Messages are neither parsed nor made by grpc (identity serialisers), and compression
stays off: Envoy's own gRPC client does not undo it.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

from weft_core.errors import CertificateFault, EnvironmentFault, PortInUse, ProtocolFault
from weft_core.spiffe import SpiffeId
from weft_xds.delta import PATIENCE
from weft_xds.fanout import Fanout
from weft_xds.identity import Authorize, first_identity
from weft_xds.metrics import XdsMetrics
from weft_xds.status import ProxyStatus
from weft_xds.stream import Refused, Stream
from weft_xds.wire import METHOD, SERVICE

MAX_REQUEST: Final = 64 << 20
"""Bytes. A proxy that reconnects with 60,000 resources says so in 4.2 MB, beyond grpc's default of 4 MiB."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMaterial:
    """PEM: the server's certificate chain and key, and the roots that proxies' certificates must lead to."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    client_roots: bytes

    def check(self) -> None:
        """Raises CertificateFault where the parts cannot be read or do not fit together."""
        try:
            chain = x509.load_pem_x509_certificates(self.certificate_chain)
            key = serialization.load_pem_private_key(self.private_key, None)
            x509.load_pem_x509_certificates(self.client_roots)
        except (ValueError, TypeError) as error:
            raise CertificateFault(f"the xDS server's key material cannot be read: {error}") from error
        if chain[0].public_key() != key.public_key():
            raise CertificateFault("the xDS server's private key does not belong to its certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where and how to listen. Times are in seconds.

    `address` is `HOST:PORT`, port 0 for any free one. A connection that reaches `max_connection_age` (give or take a
    tenth, so that not all reconnect at once) is ended: the proxy reconnects, perhaps to another replica, with its
    newest certificate, and is sent nothing that it has.
    """

    address: str
    max_connection_age: float | None = None
    keepalive: float = 30.0
    patience: float = PATIENCE


class XdsServer:
    """Serves a fan-out's proxies over TLS with client certificates, or in plaintext on a loopback address."""

    def __init__(
        self,
        fanout: Fanout,
        authorize: Authorize,
        options: ServerOptions,
        *,
        tls: TlsMaterial | None,
        registry: CollectorRegistry,
    ) -> None:
        self._fanout = fanout
        self._authorize = authorize
        self._options = options
        self._tls = tls
        self._streams: dict[Stream, None] = {}
        self._metrics = XdsMetrics(registry, lambda: len(self._streams))
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises PortInUse, CertificateFault, or EnvironmentFault for plaintext anywhere but on loopback.
        """
        options = self._options
        server = grpc.aio.server(options=_channel_options(options))
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        try:
            if self._tls is not None:
                port = server.add_secure_port(options.address, self._credentials(self._tls))
            elif _is_loopback(options.address):
                port = server.add_insecure_port(options.address)
            else:
                raise EnvironmentFault(
                    f"xDS in plaintext is served on loopback only, not on {options.address}: give it a certificate"
                )
        except RuntimeError as error:
            raise PortInUse(f"cannot listen for xDS on {options.address}: {error}") from error
        await server.start()
        self._server = server
        _log.info("xds_listening", address=options.address, port=port, tls=self._tls is not None)
        return port

    async def stop(self, grace: float = 1.0) -> None:
        """End all streams in good order, then the server; what is not gone after `grace` seconds is cut off."""
        if self._server is None:
            return
        server, self._server = self._server, None
        for stream in self._streams:
            stream.close()
        await server.stop(grace)

    def rotate(self, tls: TlsMaterial) -> None:
        """Use this key material for new connections; keeps the old and raises CertificateFault where it is bad."""
        tls.check()
        self._tls = tls

    def snapshot(self) -> tuple[ProxyStatus, ...]:
        """How far each connected proxy is, by name."""
        statuses = (stream.status() for stream in self._streams)
        return tuple(sorted((s for s in statuses if s is not None), key=lambda status: (status.proxy, status.node_id)))

    # connections

    def _credentials(self, tls: TlsMaterial) -> grpc.ServerCredentials:
        tls.check()
        served = tls

        def current() -> Any:
            """Called by grpc at each handshake, on its own thread; None keeps what it has."""
            nonlocal served
            if self._tls is served or self._tls is None:
                return None
            served = self._tls
            return _certificates(served)

        return grpc.dynamic_ssl_server_credentials(_certificates(tls), current, require_client_authentication=True)

    async def _serve(self, _requests: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        identity = _identity(context)
        if self._tls is not None and identity is None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "the client certificate has no URI of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT",
            )
        stream = Stream(_GrpcChannel(context), self._fanout, self._metrics, patience=self._options.patience)
        self._streams[stream] = None
        try:
            await stream.run(identity, self._authorize)
        except Refused as fault:
            _log.warning("xds_stream_refused", identity=str(identity), reason=str(fault))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(fault))
        except ProtocolFault as fault:
            _log.warning("xds_protocol_fault", identity=str(identity), reason=str(fault))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(fault))
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no request on this stream")
        finally:
            del self._streams[stream]


class _GrpcChannel:
    """A grpc.aio call as a `stream.Channel`."""

    def __init__(self, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        self._context = context

    async def read(self) -> bytes | None:
        message: object = await self._context.read()
        return message if isinstance(message, bytes) else None  # grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        await self._context.write(data)


def _channel_options(options: ServerOptions) -> list[tuple[str, Any]]:
    arguments: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_REQUEST),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # two control planes on one port would share the proxies at random
        ("grpc.keepalive_time_ms", int(options.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # Envoy pings every 30 s; grpc allows 5 min
    ]
    if options.max_connection_age is not None:
        arguments += [
            ("grpc.max_connection_age_ms", int(options.max_connection_age * 1000)),
            ("grpc.max_connection_age_grace_ms", 1_000),
        ]
    return arguments


def _certificates(tls: TlsMaterial) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(tls.private_key, tls.certificate_chain)], root_certificates=tls.client_roots
    )


def _identity(context: "grpc.aio.ServicerContext[bytes, bytes]") -> SpiffeId | None:
    return first_identity(context.auth_context().get("peer_spiffe_id", ()))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
