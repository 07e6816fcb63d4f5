"""AWS Bedrock: Converse, and the models' own bodies behind InvokeModel.

Source: the API references of Converse and InvokeModel. Cached tokens lie beside the input, as with Anthropic; Converse
tells each cache count under two names. InvokeModel answers in the model's own format, and tells the tokens again: in
headers of a body, in `amazon-bedrock-invocationMetrics` at the end of a stream. The model's own numbers count, and
what they leave out is taken from there.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers import chat_completions, messages
from otel_llmcost.providers.fields import Counts, objects, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading

_HEADERS: Final = {
    "x-amzn-bedrock-input-token-count": "inputTokens",
    "x-amzn-bedrock-output-token-count": "outputTokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
}
_METRICS: Final = "amazon-bedrock-invocationMetrics"


def read_converse(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream (of which `metadata` has the usage)."""
    reading.finish_reason = text(document, "stopReason") or reading.finish_reason
    reading.service_tier = text(section(document, "serviceTier"), "type") or reading.service_tier
    usage = section(document, "usage")
    if usage:
        reading.finished = True
        reading.usage = read_usage(usage)


def read_usage(usage: Mapping[str, Any], counts: Counts | None = None) -> Usage:
    """A Converse usage object → exclusive buckets. `counts` has the flags of what was read before."""
    counts = counts or Counts()
    inputs = counts.get(usage, "inputTokens", "inputTokenCount")
    outputs = counts.get(usage, "outputTokens", "outputTokenCount")
    read = counts.number(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = counts.number(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details = objects(usage, "cacheDetails")
    one_hour = sum(counts.number(row, "inputTokens") for row in details if row.get("ttl") == "1h")
    if one_hour > written:
        counts.flags.append(f"cacheDetails: 1h {one_hour} exceeds total {written}")
        one_hour = written
    cache = {Bucket.CACHE_READ: read, Bucket.CACHE_WRITE: written - one_hour, Bucket.CACHE_WRITE_1H: one_hour}
    total = counts.get(usage, "totalTokens")
    told = (inputs or 0) + (outputs or 0) + read + written
    if total is not None and total != told:
        counts.flags.append(f"totalTokens: {total} is not {told}")
    return exclusive_usage(
        Side(inputs, {bucket: count for bucket, count in cache.items() if count}, inside=False),
        Side(outputs),
        rule="converse",
        flags=tuple(counts.flags),
    )


def read_invoke_headers(headers: Mapping[str, str], reading: Reading) -> None:
    """The counts in the response's headers, which every model has."""
    told = {name: value for header, name in _HEADERS.items() if (value := headers.get(header))}
    if told:
        reading.state["headers"] = told
        reading.usage = read_usage(told)


def read_invoke(document: dict[str, Any], reading: Reading) -> None:
    """A model's response body, or one chunk of its stream."""
    usage = section(document, "usage") or section(section(document, "message"), "usage")
    if "prompt_tokens" in usage:
        chat_completions.read(document, reading)
    elif text(document, "type") in _MESSAGES or "input_tokens" in usage:
        messages.read(document, reading)
    else:
        _read_own(document, reading)


_MESSAGES: Final = frozenset({"message", "message_start", "message_delta", "message_stop"})
"""Types of Anthropic's documents."""


def _read_own(document: dict[str, Any], reading: Reading) -> None:
    """Nova, Titan, Llama, and whatever else tells its counts by names of its own, or by Bedrock's."""
    counts = Counts()
    own = section(document, "usage") or section(section(document, "metadata"), "usage")
    own = own or _titan_or_llama(document, counts)
    metrics = section(document, _METRICS)
    reason = text(document, "stopReason") or text(document, "stop_reason") or text(document, "completionReason")
    reading.finish_reason = reason or reading.finish_reason
    # A guardrail that blocks the prompt ends the stream with its trace, and there are no metrics.
    reading.finished = reading.finished or bool(metrics) or "amazon-bedrock-trace" in document
    if own or (metrics and not reading.usage.known):
        told = {**reading.state.get("headers", {}), **_named_as_converse(metrics), **own}
        reading.usage = read_usage(told, counts)


def _titan_or_llama(document: Mapping[str, Any], counts: Counts) -> dict[str, Any]:
    """Titan's and Llama's counts by Converse's names.

    A chunk of Titan's stream (it has `outputText`) tells counts also where a guardrail kept the model from being asked,
    so there only the metrics count.
    """
    if "prompt_token_count" in document and "generation_token_count" in document:
        return {"inputTokens": document["prompt_token_count"], "outputTokens": document["generation_token_count"]}
    if "inputTextTokenCount" not in document or "outputText" in document:
        return {}
    results = objects(document, "results")
    found = {"inputTokens": document["inputTextTokenCount"]}
    if results:
        found["outputTokens"] = sum(counts.number(row, "tokenCount") for row in results)
    return found


def _named_as_converse(metrics: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "inputTokenCount": "inputTokens",
        "outputTokenCount": "outputTokens",
        "cacheReadInputTokenCount": "cacheReadInputTokens",
        "cacheWriteInputTokenCount": "cacheWriteInputTokens",
    }
    return {name: metrics[key] for key, name in names.items() if key in metrics}


CONVERSE: Final = WireFormat(
    name="converse",
    operation="chat",
    path=re.compile(r"/model/(?P<model>.+)/converse(?P<stream>-stream)?$"),
    read=read_converse,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"stopReason"|"error"'),
)
INVOKE: Final = WireFormat(
    name="invoke_model",
    operation="chat",
    path=re.compile(r"/model/(?P<model>.+)/invoke(?P<stream>-with-response-stream)?$"),
    read=read_invoke,
    interesting=re.compile(
        rb'"usage"\s*:\s*\{|invocationMetrics|"type"\s*:\s*"message_stop"|"stop_?[rR]eason"\s*:\s*"|bedrock-trace|"error"'
    ),
    read_headers=read_invoke_headers,
)
