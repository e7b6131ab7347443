"""Access logs into files."""

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ResponseFlagFilter
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from google.protobuf.struct_pb2 import Struct, Value

from weft_core.ir import access_log as ir
from weft_xds.build.extension import packed


def build_access_log(log: ir.FileAccessLog) -> AccessLog:
    """One logger, under Istio's name of it."""
    message = AccessLog(
        name="envoy.access_loggers.file",
        typed_config=packed(FileAccessLog(path=log.path, log_format=_format(log.format))),
    )
    if log.response_flags:
        message.filter.CopyFrom(AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=log.response_flags)))
    return message


def _format(wanted: str | ir.JsonFormat) -> SubstitutionFormatString:
    if isinstance(wanted, str):
        return SubstitutionFormatString(text_format_source=DataSource(inline_string=wanted))
    fields = {key: Value(string_value=value) for key, value in wanted}
    return SubstitutionFormatString(json_format=Struct(fields=fields))
