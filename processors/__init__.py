"""Processors: where the pipeline runs over spans that someone else carries (OpenTelemetry SDK, OTLP)."""
