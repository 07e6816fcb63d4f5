"""Small formats, each of one seller: TGI (Hugging Face), watsonx, Replicate and Aleph Alpha.

Sources: the API references of text-generation-inference, of watsonx.ai text generation, of Replicate's predictions and
of Aleph Alpha's completions.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Usage
from otel_llmcost.providers.fields import Counts, first_object, objects, read_identity, read_times, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def _usage(told: Mapping[str, Any], inputs: str, outputs: str, rule: str) -> Usage:
    counts = Counts()
    sides = Side(counts.get(told, inputs)), Side(counts.get(told, outputs))
    return exclusive_usage(*sides, rule=rule, flags=tuple(counts.flags))


def read_tgi_headers(headers: Mapping[str, str], reading: Reading) -> None:
    """TGI tells the prompt in headers alone."""
    told = {name: value for name in ("x-prompt-tokens", "x-generated-tokens") if (value := headers.get(name))}
    if told:
        reading.state["headers"] = told
        reading.usage = _usage(told, "x-prompt-tokens", "x-generated-tokens", "tgi")


def read_tgi(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream; the last one has `details`."""
    details = section(document, "details")
    reading.finish_reason = text(details, "finish_reason") or reading.finish_reason
    if details.get("generated_tokens") is not None:
        reading.finished = True
        told = {**reading.state.get("headers", {}), "x-generated-tokens": details["generated_tokens"]}
        if isinstance(details.get("prefill"), list) and details["prefill"]:
            told.setdefault("x-prompt-tokens", len(details["prefill"]))
        reading.usage = _usage(told, "x-prompt-tokens", "x-generated-tokens", "tgi")


def read_watsonx(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream: the input in the first, the output growing to the last."""
    reading.model = text(document, "model_id") or reading.model
    result = first_object(document, "results")
    reading.finish_reason = text(result, "stop_reason") or reading.finish_reason
    reading.finished = bool(reading.finish_reason) and reading.finish_reason != "not_finished"
    state = reading.state
    for key in ("input_token_count", "generated_token_count"):
        if result.get(key):
            state[key] = result[key]
        elif key in result:
            state.setdefault(key, 0)
    if state:
        reading.usage = _usage(state, "input_token_count", "generated_token_count", "watsonx")


def read_watsonx_embeddings(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    reading.model = text(document, "model_id") or reading.model
    reading.usage = _usage(document, "input_token_count", "", "watsonx")


def read_replicate(document: dict[str, Any], reading: Reading) -> None:
    """A prediction; language models tell their tokens in `metrics`, others only seconds of a machine."""
    read_identity(document, reading)
    reading.finish_reason = text(document, "status") or reading.finish_reason
    reading.deferred = True
    read_times(document, reading, "created_at", "completed_at")
    metrics = section(document, "metrics")
    if metrics:
        reading.usage = _usage(metrics, "input_token_count", "output_token_count", "replicate")


def read_aleph_alpha(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    reading.model = text(document, "model_version") or reading.model
    done = objects(document, "completions")
    reading.finish_reason = text(done[0], "finish_reason") if done else reading.finish_reason
    reading.usage = _usage(document, "num_tokens_prompt_total", "num_tokens_generated", "aleph_alpha")


TGI: Final = WireFormat(
    name="tgi",
    operation="text_completion",
    path=re.compile(r"^/?$|/generate(?P<stream>_stream)?/?$|^/models/(?P<model>[^:]+)$"),
    read=read_tgi,
    interesting=re.compile(rb'"generated_tokens"|"error"'),
    sellers=frozenset({"huggingface"}),
    read_headers=read_tgi_headers,
)
WATSONX: Final = WireFormat(
    name="watsonx",
    operation="text_completion",
    path=re.compile(r"/ml/v1[^/]*/(?:text/generation|generation/text)(?P<stream>_stream)?/?$"),
    read=read_watsonx,
    interesting=re.compile(rb'"generated_token_count"|"error"'),
)
WATSONX_EMBEDDINGS: Final = WireFormat(
    name="watsonx_embeddings",
    operation="embeddings",
    path=re.compile(r"/ml/v1[^/]*/text/embeddings/?$"),
    read=read_watsonx_embeddings,
    interesting=re.compile(rb'"input_token_count"'),
)
REPLICATE: Final = WireFormat(
    name="replicate",
    operation="text_completion",
    path=re.compile(r"^/v1/(?:(?:models|deployments)/(?P<model>[^/]+/[^/]+)/)?predictions/?$"),
    read=read_replicate,
    interesting=re.compile(rb'"metrics"'),
    sellers=frozenset({"replicate"}),
    polled_path=re.compile(r"^/v1/predictions/[^/]+/?$"),
)
ALEPH_ALPHA: Final = WireFormat(
    name="aleph_alpha",
    operation="text_completion",
    path=re.compile(r"^/complete/?$"),
    read=read_aleph_alpha,
    interesting=re.compile(rb'"num_tokens_generated"'),
    sellers=frozenset({"aleph_alpha"}),
)
