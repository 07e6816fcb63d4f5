#!/bin/sh
# rotel that prices GenAI spans on their way: rotel-agent with the processor file of otel-llmcost.
#
# The first python3 of the PATH has otel-llmcost installed, and is of the version that rotel's wheel is for. Endpoints
# come from the environment; OTEL_LLMCOST_CONFIG names llmcost.yaml. More options of `rotel-agent start` may follow.
#
# rotel acknowledges what it holds in memory: what it has not passed on is lost when it dies, and with a backend away it
# fills memory. Put a Collector with a queue on disk behind it (../genai-to-llmcost/) where every call must count.
set -eu

export ROTEL_OTLP_GRPC_ENDPOINT="${OTLP_GRPC_ENDPOINT:-127.0.0.1:4317}"
export ROTEL_OTLP_HTTP_ENDPOINT="${OTLP_HTTP_ENDPOINT:-127.0.0.1:4318}"
export ROTEL_EXPORTER=otlp
export ROTEL_OTLP_EXPORTER_ENDPOINT="http://${BACKEND_ENDPOINT:-127.0.0.1:4327}"
export ROTEL_OTLP_EXPORTER_RETRY_MAX_ELAPSED_TIME="${RETRY_MAX_ELAPSED_TIME:-300s}"
export ROTEL_PID_FILE="${PID_FILE:-/tmp/rotel-agent.pid}"

exec "${ROTEL_AGENT:-rotel-agent}" start \
    --otlp-with-trace-processor "$(python3 -m otel_llmcost.processors.rotel)" "$@"
