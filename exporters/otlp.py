"""`otlp://` and `otlps://` ledgers: GenAI spans are forwarded as they are to an OTLP receiver that keeps the ledger.

Every GenAI span goes, sampled or not; the receiver prices and attributes them.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_llmcost.errors import MissingExtraError, RetryableError
from otel_llmcost.exporters.forking import call_in_child

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from otel_llmcost.exporters.otlp_messages import SpanOrMessageExporter


class OtlpForwarder:
    """Sends spans over OTLP/gRPC; connects on the first write, so that an application starts without the receiver."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            MissingExtraError: the OTLP exporter is not installed.
        """
        if find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
            raise MissingExtraError("an otlp:// ledger", "otlp")
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._endpoint = f"{host}:{parts.port or 4317}"
        self._secure = parts.scheme == "otlps"
        self._leave_to_parent()
        call_in_child(self._leave_to_parent)

    def _leave_to_parent(self) -> None:
        """No connection yet; in a forked child the one there is belongs to the parent."""
        self._exporter: SpanOrMessageExporter | None = None

    def write(self, spans: "Sequence[ReadableSpan] | Sequence[ExportTraceServiceRequest]") -> None:
        """Send spans, or messages made of them; returns when the receiver has acknowledged them.

        Raises:
            RetryableError: it has not.
        """
        if self._exporter is None:
            self._exporter = self._connect()
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise RetryableError(f"{self._endpoint} did not acknowledge the spans")

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._exporter is not None:
            self._exporter.shutdown()
            self._exporter = None

    def _connect(self) -> "SpanOrMessageExporter":
        from otel_llmcost.exporters.otlp_messages import SpanOrMessageExporter

        return SpanOrMessageExporter(endpoint=self._endpoint, insecure=not self._secure)
