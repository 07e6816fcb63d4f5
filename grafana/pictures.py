"""Pictures of the dashboards: the queries of each over the demo's ledger, drawn with matplotlib into docs/dashboards/.

    pip install -e '.[pictures]' && python grafana/pictures.py            all of them
    python grafana/pictures.py --only drill-down --ledger /tmp/demo       one, from a ledger that is kept

They are drawings of what the queries answer, not screenshots of Grafana. The same data in every run.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from demo_calls import NOW
from demo_ledger import fill_ledger
from picture_panels import draw

from otel_llmcost.exporters.clickhouse.client import Ledger

HERE: Final = Path(__file__).resolve().parent
OUTPUT: Final = HERE.parent / "docs/dashboards"
sys.path.insert(0, str(HERE.parent / "tests" / "grafana"))  # the model of Grafana's macros

LENGTHS: Final = {
    "spend-overview": timedelta(days=1),
    "drill-down": timedelta(days=1),
    "chargeback": timedelta(days=19, hours=14, minutes=37),
    "compare": timedelta(days=7),
    "efficiency": timedelta(days=7),
    "anomalies": timedelta(days=7),
    "pipeline-health": timedelta(hours=6),
}
INTERVALS_S: Final = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400)


def answers_of(name: str, ledger: Ledger) -> tuple[dict[str, Any], dict[int, Any], str]:
    """The dashboard, what each panel's query answers, and what is chosen."""
    from grafana_boards import ASKING, BOARDS, opened, sql_of
    from grafana_macros import expand

    view = opened(name, NOW, LENGTHS[name], ledger)
    asked = {
        panel["id"]: ledger.query(expand(sql_of(panel), replace(view, interval_s=_interval_s(name, panel))))
        for board, panel in ASKING
        if board == name
    }
    answers = {panel_id: (answer.columns, answer.rows) for panel_id, answer in asked.items()}
    for panel in BOARDS[name]["panels"]:
        shared = panel["targets"][0].get("panelId")
        if shared:
            answers[panel["id"]] = answers[shared]
    own = [v for v in BOARDS[name]["templating"]["list"] if v["type"] in ("custom", "query") and not v.get("multi")]
    chosen = "   ".join(f"{v['label']}: {_text(v, view.variables[v['name']])}" for v in own)
    times = f"{NOW - LENGTHS[name]:%Y-%m-%d %H:%M} to {NOW:%Y-%m-%d %H:%M} UTC"
    return BOARDS[name], answers, f"{times}   all dimensions: All   {chosen}"


def _interval_s(name: str, panel: dict[str, Any]) -> int:
    """What Grafana would take for this many points."""
    needed = LENGTHS[name].total_seconds() / panel.get("maxDataPoints", panel["gridPos"]["w"] * 30)
    return next(interval for interval in INTERVALS_S if interval >= needed)


def _text(variable: dict[str, Any], value: Any) -> str:
    texts = {option["value"]: option["text"] for option in variable["options"]}
    if variable["name"] == "anomaly":
        return " ".join(str(value).split("|")[1::3])
    return str(texts.get(value, value))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(LENGTHS), help="one dashboard")
    parser.add_argument("--ledger", type=Path, help="a directory to keep the demo's ledger in; filled where it is new")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        path = options.ledger or Path(scratch) / "ledger"
        if not path.exists():
            fill_ledger(path)
        with Ledger.open(f"chdb://{path}") as ledger:
            for name in [options.only] if options.only else LENGTHS:
                OUTPUT.mkdir(parents=True, exist_ok=True)
                _save(draw(*answers_of(name, ledger)), OUTPUT / f"{name}.png")
    return 0


def _save(figure: Any, path: Path) -> None:
    """As a PNG of 256 colours: a third of the bytes."""
    import io

    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(HERE.parent)} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
