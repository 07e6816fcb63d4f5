"""The drawings of the dashboards in the documents."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from grafana_boards import BOARDS
from picture_units import written

DOCS = Path(__file__).parents[2] / "docs"
MOMENT = datetime(2026, 11, 20, 14, 5, 9, 120_000, tzinfo=UTC)


@pytest.mark.parametrize("name", BOARDS)
def test_every_dashboard_has_a_picture_that_the_documents_show(name: str) -> None:
    """
    A reader sees what each dashboard is like before they install anything.
    """
    picture = DOCS / f"dashboards/{name}.png"

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"(dashboards/{name}.png)" in (DOCS / "dashboards.md").read_text("utf-8")


def test_pictures_are_small() -> None:
    """
    A clone of the repository stays small, and no picture is left of a dashboard that is gone.
    """
    pictures = list((DOCS / "dashboards").iterdir())

    assert {f"{name}.png" for name in BOARDS} == {picture.name for picture in pictures}
    assert sum(picture.stat().st_size for picture in pictures) < 2_000_000


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (None, "currencyUSD", 2, "-"),
        (1234.5, "currencyUSD", 2, "$1.23K"),
        (-0.5, "currencyUSD", 2, "-$0.50"),
        (0.9916, "percentunit", 2, "99.16%"),
        (12_345, "short", None, "12.3 K"),
        (90, "s", 1, "1.5 min"),
        (899.6, "ms", 0, "900 ms"),
        (3.4, "d", 1, "3.4 d"),
        (MOMENT, "time:DD.MM. HH:mm", None, "20.11. 14:05"),
        (MOMENT, "time:YYYY-MM-DD HH:mm:ss.SSS", None, "2026-11-20 14:05:09.120"),
    ],
)
def test_values_are_written_as_grafana_writes_them(value: Any, unit: str, decimals: int | None, expected: str) -> None:
    """
    A drawing shows the unit and the digits that the panel is set to.
    """
    assert expected == written(value, unit, decimals)


def test_drawing_has_every_panel() -> None:
    """
    Panels without an answer are drawn too.
    """
    pytest.importorskip("matplotlib", reason="needs the extra: pictures")
    from picture_panels import draw

    for board in BOARDS.values():
        texts = [text.get_text() for axes in draw(board, {}, "caption").axes for text in axes.texts]
        assert {panel["title"] for panel in board["panels"]} <= set(texts)
