"""Access logs as MeshConfig asks for them: a file, a format, text or JSON."""

import json

from weft_core.graph import query
from weft_core.ir.access_log import FileAccessLog, JsonFormat
from weft_core.model.mesh_config import AccessLogEncoding
from weft_core.registry import Registry
from weft_core.view.mesh import mesh

NO_ROUTE = "NR"
"""Envoy's response flag of connections that no filter chain took."""

_FIELDS = (
    ("start_time", "[%START_TIME%]"),
    ("method", '"%REQ(:METHOD)%'),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", '%PROTOCOL%"'),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", '"%REQ(X-FORWARDED-FOR)%"'),
    ("user_agent", '"%REQ(USER-AGENT)%"'),
    ("request_id", '"%REQ(X-REQUEST-ID)%"'),
    ("authority", '"%REQ(:AUTHORITY)%"'),
    ("upstream_host", '"%UPSTREAM_HOST%"'),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
)
"""Istio's default fields, in the order of its text format: log pipelines parse them."""
TEXT_FORMAT = " ".join(value for _, value in _FIELDS) + "\n"
JSON_FORMAT: JsonFormat = tuple(sorted((name, value.strip('"[]')) for name, value in _FIELDS))


@query
def access_logs(db: Registry) -> tuple[FileAccessLog, ...]:
    """The loggers of every request and connection; none unless MeshConfig names a file."""
    config = mesh(db)
    if not config.access_log_file:
        return ()
    wanted = config.access_log_format
    chosen = _json(wanted) if config.access_log_encoding is AccessLogEncoding.JSON else _text(wanted)
    return (FileAccessLog(path=config.access_log_file, format=chosen),)


@query
def listener_access_logs(db: Registry) -> tuple[FileAccessLog, ...]:
    """The loggers of connections that no filter chain took."""
    return tuple(FileAccessLog(path=log.path, format=log.format, response_flags=(NO_ROUTE,)) for log in access_logs(db))


def _text(wanted: str) -> str:
    """The format, ended by a newline, without which lines would run together."""
    if not wanted:
        return TEXT_FORMAT
    return wanted if wanted.endswith("\n") else wanted + "\n"


def _json(wanted: str) -> JsonFormat:
    """The format's keys and texts; the default where it is no JSON object, so that logs are never lost."""
    try:
        fields = json.loads(wanted) if wanted else None
    except ValueError:
        return JSON_FORMAT
    if not isinstance(fields, dict):
        return JSON_FORMAT
    return tuple(
        sorted((str(key), value if isinstance(value, str) else json.dumps(value)) for key, value in fields.items())
    )
