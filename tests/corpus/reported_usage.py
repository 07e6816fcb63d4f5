"""What the provider reported in a recorded exchange, as totals of a bill line.

Independent of the code under test: made from the numbers that the corpus took out of each body by hand-checked rules,
and from its table of what lies inside or beside which total.
"""

from dataclasses import dataclass
from typing import Any

CACHE_BESIDE_INPUT = {"anthropic_messages", "bedrock_converse", "bedrock_invoke"}
REASONING_BESIDE_OUTPUT = {
    ("gemini_generate", "google_gemini"),
    ("gemini_generate", "google_vertex"),
    ("gemini_generate", "pydantic_gateway"),
    ("gemini_interactions", "google_gemini"),
    ("openai_chat", "xai"),
}
TOTAL_IS_INPUT = {"rerank_openai_style", "voyage_embeddings"}
HEADERS = {
    "input_tokens": ("x-amzn-bedrock-input-token-count", "x-prompt-tokens"),
    "output_tokens": ("x-amzn-bedrock-output-token-count", "x-generated-tokens"),
    "cache_read": ("x-amzn-bedrock-cache-read-input-token-count",),
    "cache_write": ("x-amzn-bedrock-cache-write-input-token-count",),
}


@dataclass(frozen=True)
class Reported:
    """Totals with their parts inside, and the units that are no tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    searches: int = 0
    pages: int = 0


def reported_usage(row: dict[str, Any]) -> Reported | None:
    """The totals; None where the exchange reports no usage (errors and token counting never do)."""
    flavor, expected = row["api_flavor"], row["expected"]
    raw = expected.get("raw_usage") or {}
    if row["status"] >= 400 or flavor == "count_tokens":
        return None
    if flavor.startswith("cohere"):
        return _cohere(expected)
    if flavor == "mistral_ocr":
        return Reported(pages=raw["pages_processed"])
    if flavor in TOTAL_IS_INPUT:
        return None if expected["total"] is None else Reported(input_tokens=expected["total"])
    numbers = {key: _number(expected, key) for key in (*HEADERS, "reasoning")}
    if numbers["input_tokens"] is None and numbers["output_tokens"] is None:
        return None
    return _tokens(row, raw, {key: value or 0 for key, value in numbers.items()})


def _number(expected: dict[str, Any], key: str) -> int | None:
    """From the body, and where it has none from the headers."""
    if expected[key] is not None:
        return expected[key]
    headers = expected.get("header_usage") or {}
    return next((int(headers[name]) for name in HEADERS.get(key, ()) if name in headers), None)


def _cohere(expected: dict[str, Any]) -> Reported | None:
    """`billed_units` are what is billed; `tokens` beside them are not."""
    if "search_units" in expected:
        return Reported(searches=expected["search_units"])
    if expected.get("billed_input_tokens") is None:
        return None
    return Reported(
        input_tokens=expected["billed_input_tokens"],
        output_tokens=expected.get("billed_output_tokens") or 0,
        reasoning_tokens=expected["reasoning"] or 0,
    )


def _tokens(row: dict[str, Any], raw: dict[str, Any], told: dict[str, int]) -> Reported:
    flavor, provider, total = row["api_flavor"], row["provider_guess"], row["expected"]["total"]
    inputs, outputs = told["input_tokens"], told["output_tokens"]
    read, written, reasoning = told["cache_read"], told["cache_write"], told["reasoning"]
    if flavor in CACHE_BESIDE_INPUT:
        inputs += read + written
    elif read > inputs:  # Grok on Azure: the total has no room for them, so they are no part of this line
        read = 0
    inputs += raw.get("toolUsePromptTokenCount", 0) + raw.get("total_tool_use_tokens", 0)
    gemini_at_vercel = provider == "vercel_gateway" and row["expected"]["model_response"].startswith("google/")
    if (flavor, provider) in REASONING_BESIDE_OUTPUT or gemini_at_vercel:
        outputs += reasoning
    if (flavor, provider) == ("openai_chat", "google_gemini"):  # thinking shows in the total alone
        reasoning = total - inputs - outputs
        outputs += reasoning
    if provider == "mistral" and total is not None:  # audio lies beside the prompt
        inputs = total - outputs
    if total is not None and not gemini_at_vercel:
        assert total == inputs + outputs, row["id"]
    return Reported(inputs, outputs, read, written, reasoning)
