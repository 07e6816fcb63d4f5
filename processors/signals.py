"""The signals of OTLP: their gRPC service, their path over HTTP, and their messages."""

from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of telemetry. `request` and `response` are its protobuf classes."""

    name: str
    service: str
    request: Any
    response: Any

    @property
    def path(self) -> str:
        """Where it goes over HTTP."""
        return f"/v1/{self.name}"

    @property
    def method(self) -> str:
        """Its gRPC method."""
        return f"/{self.service}/Export"


_PREFIX: Final = "opentelemetry.proto.collector"
TRACES: Final = Signal(
    "traces", f"{_PREFIX}.trace.v1.TraceService", ExportTraceServiceRequest, ExportTraceServiceResponse
)
LOGS: Final = Signal("logs", f"{_PREFIX}.logs.v1.LogsService", ExportLogsServiceRequest, ExportLogsServiceResponse)
METRICS: Final = Signal(
    "metrics", f"{_PREFIX}.metrics.v1.MetricsService", ExportMetricsServiceRequest, ExportMetricsServiceResponse
)
SIGNALS: Final = (TRACES, LOGS, METRICS)
