"""The OTLP stage: between two hops of a pipeline of telemetry, it prices what passes."""
