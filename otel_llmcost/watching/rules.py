"""The rules, and what they find in a ledger."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

MAX_FINDINGS: Final = 1000
"""Of one rule: more is a fault of the rule, and nobody reads it."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::(\.\df))?\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of a rule's query: label columns and a number."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as grafana/sources/alerts says it. Labels of `identity` make an alert (all, if none)."""

    uid: str
    title: str
    sql: str
    window_s: int
    above: float
    pending_s: int
    keep_firing_s: int
    labels: Mapping[str, str]
    identity: Sequence[str]
    group: Sequence[str]
    covers: str
    covered_by: str
    summary: str
    description: str
    runbook: str

    @property
    def alertname(self) -> str:
        """Its name in Prometheus and Alertmanager."""
        return "".join(part.capitalize() for part in self.uid.split("-"))

    def key(self, labels: Mapping[str, str]) -> str:
        """What makes an alert the same as before."""
        kept = {name: labels[name] for name in self.identity or sorted(labels)}
        return f"{self.uid} {json.dumps(kept, sort_keys=True, ensure_ascii=False)}"

    def worded(self, text: str, labels: Mapping[str, str], value: float) -> str:
        """`summary` or `description` of an alert."""
        return _PLACEHOLDER.sub(
            lambda found: format(value, found[2] or ".1f") if found[1] == "value" else labels.get(found[1], ""), text
        )

    def find(self, ledger: "Ledger", now: datetime) -> list[Finding]:
        """The rows above the bound.

        Raises:
            DeliveryError: the ledger did not answer, or refused.
        """
        found = ledger.query(self.sql, {"from": now - timedelta(seconds=self.window_s), "to": now})
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        findings = [Finding({k: str(v) for k, v in list(row.items())[:-1]}, list(row.values())[-1]) for row in rows]
        return [finding for finding in findings if finding.value > self.above][:MAX_FINDINGS]


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule, by its uid."""
    rows: list[dict[str, Any]] = json.loads((files("otel_llmcost.watching") / "rules.json").read_text("utf-8"))
    return {row["uid"]: Rule(**row | {"sql": "\n".join(row["sql"])}) for row in rows}


def folded_series(ledger: "Ledger", now: datetime, window_s: int = 86_400) -> dict[str, frozenset[str]]:
    """Id of an anomaly → the series that it accounts for, itself among them.

    Raises:
        DeliveryError: the ledger did not answer, or refused.
    """
    sql = (
        "SELECT id, arrayMap(s -> if(s.2 = '', s.1, concat(s.1, '=', s.2)),"
        " arrayPushBack(folded, (series_kind, series_key))) FROM anomalies WHERE last_seen_at >= {from:DateTime('UTC')}"
    )
    rows = ledger.query(sql, {"from": now - timedelta(seconds=window_s)}).rows
    return {anomaly: frozenset(series) for anomaly, series in rows}
