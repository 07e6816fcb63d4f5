"""Price files and refreshed data in an application that is instrumented as a user does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

APPLICATION = """\
import sys, time
import httpx2
from opentelemetry import trace

time.sleep(float(sys.argv[1]))
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={
    "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}))
with httpx2.Client(transport=transport) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o"})
print("the application is done")
"""
OFF = "discounts:\n  - {id: half, from: 2020-01-01, when: {provider: openai}, percent_off: 50}\n"


def run(wait_s: float = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    return subprocess.run(
        [instrument, sys.executable, "-c", APPLICATION, str(wait_s)],
        env={**clean, "OTEL_PYTHON_DISTRO": "llmcost", "OTEL_TRACES_EXPORTER": "console", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_price_file_prices_the_calls_of_an_application(tmp_path) -> None:
    """2.50 and 10.00 per million, half off; the span has both costs and the entry."""
    (tmp_path / "off.yaml").write_text(OFF)
    result = run(OTEL_LLMCOST_PRICES_OVERLAYS=f"[{tmp_path}/*.yaml]")
    assert '"llmcost.cost.usd": 0.0013' in result.stdout
    assert '"llmcost.cost.list_usd": 0.0026' in result.stdout
    assert '"llmcost.cost.reason": "overlay:half"' in result.stdout


def test_a_wrong_price_file_is_told_and_the_application_runs(tmp_path) -> None:
    """Without costs, and with the line of the mistake."""
    (tmp_path / "off.yaml").write_text(OFF.replace("percent_off", "percentoff"))
    result = run(OTEL_LLMCOST_PRICES_OVERLAYS=f"[{tmp_path}/off.yaml]")
    assert (0, True) == (result.returncode, "the application is done" in result.stdout)
    assert f"{tmp_path}/off.yaml:2: discounts.0.percentoff: unknown key; did you mean" in result.stderr
    assert "llmcost.cost" not in result.stdout


def test_refreshed_data_prices_the_calls_that_come_after_it(tmp_path) -> None:
    """The data names 7.50 for GPT-4o; the version on the line is that of the data."""
    model = {"id": "gpt-4o", "match": {"starts_with": "gpt-4o"}, "prices": {"input_mtok": 7.5, "output_mtok": 10}}
    dated = {"id": "x", "match": {"equals": "x"}, "prices": _dated_until_today()}
    seller = {"id": "openai", "name": "OpenAI", "api_pattern": "api.openai.com"}
    padding = [{"id": f"m{n}", "match": {"equals": f"m{n}"}, "prices": {"input_mtok": 1}} for n in range(30)]
    (tmp_path / "data.json").write_text(json.dumps([{**seller, "models": [model, dated, *padding]}]))
    result = run(
        1.0,
        OTEL_LLMCOST_PRICES_REFRESH_SOURCE=str(tmp_path / "data.json"),
        OTEL_LLMCOST_PRICES_REFRESH_MIN_MODELS_PERCENT="1",
    )
    assert '"llmcost.cost.usd": 0.0076' in result.stdout, result.stderr
    assert '"llmcost.price.book": "genai-prices-data-' in result.stdout


def _dated_until_today() -> list[dict[str, object]]:
    """A price from the day of the newest price of the bundled book on, for data must not be older."""
    from datetime import UTC, datetime

    from otel_llmcost.pricing import PriceBook
    from otel_llmcost.pricing.refresh import newest_price_day

    day = newest_price_day(PriceBook.bundled().snapshot, datetime.now(UTC).date())
    return [
        {"prices": {"input_mtok": 1}},
        {"constraint": {"start_date": day.isoformat()}, "prices": {"input_mtok": 2}},
    ]
