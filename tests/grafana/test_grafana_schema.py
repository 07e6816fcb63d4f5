"""The dashboards against the types that Grafana publishes (npm: @grafana/schema), by the TypeScript compiler."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from grafana_boards import BOARDS, PANELS, Json

SCHEMA = Path(__file__).parent / "schema"
COMPILER = SCHEMA / "node_modules/typescript/bin/tsc"
SETTINGS = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "module": "esnext",
        "moduleResolution": "node",
        "target": "es2022",
    },
    "include": ["*.ts"],
}

pytestmark = pytest.mark.skipif(
    not COMPILER.is_file() or shutil.which("node") is None,
    reason="needs node and: npm install --prefix tests/grafana/schema",
)


def compiled(folder: Path, statements: list[str]) -> str:
    """What the compiler has against the statements; empty is nothing."""
    (folder / "node_modules").symlink_to(SCHEMA / "node_modules")
    shutil.copy(SCHEMA / "plain.ts", folder)
    (folder / "tsconfig.json").write_text(json.dumps(SETTINGS), "utf-8")
    header = 'import type { Custom, Dashboard, Options } from "./plain";'
    (folder / "boards.ts").write_text("\n".join([header, *statements]), "utf-8")
    done = subprocess.run(
        ["node", COMPILER, "-p", folder], capture_output=True, text=True, check=False, timeout=120, cwd=folder
    )
    return done.stdout + done.stderr


def declared(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: {kind} = {json.dumps(value)};"


def of_panel(number: int, panel: Json) -> list[str]:
    kind = panel["type"]
    return [
        declared(f"options_{number}", f'Options["{kind}"]', panel["options"]),
        declared(f"custom_{number}", f'Custom["{kind}"]', panel["fieldConfig"]["defaults"]["custom"]),
    ]


def test_dashboards_are_what_grafana_publishes(tmp_path: Path) -> None:
    """
    No field is unknown or of the wrong type, in a dashboard, its variables and panels, and the settings of each panel.
    """
    boards = [declared(name.replace("-", "_"), "Dashboard", board) for name, board in BOARDS.items()]
    panels = [line for number, (_, panel) in enumerate(PANELS) for line in of_panel(number, panel)]

    assert "" == compiled(tmp_path, [*boards, *panels])


@pytest.mark.parametrize(
    ("path", "value"),
    [(("schemaVersion",), "42"), (("panels", 0, "tipe"), "stat"), (("panels", 0, "gridPos", "w"), "wide")],
)
def test_a_mistake_would_be_found(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    """
    The check is one that can fail.
    """
    board = json.loads(json.dumps(BOARDS["spend-overview"]))
    place = board
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert "error TS" in compiled(tmp_path, [declared("board", "Dashboard", board)])
