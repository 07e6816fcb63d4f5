"""Schema of a ledger: set up, upgraded with lines in it, told apart from other versions, and as a cluster takes it."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, ChdbServer, serve
from factories import START_NS, make_call, make_cost
from otel_llmcost import cli
from otel_llmcost.call import Bucket, Cost, LLMCall, Status, Usage
from otel_llmcost.errors import ConfigError, RetryableError
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import ddl, migrations, retention, roles
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.ddl import Cluster
from otel_llmcost.exporters.clickhouse.retention import Retention, changes
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, columns, native_block
from otel_llmcost.exporters.clickhouse.settling import rebuild, settle

DAY_NS = 86_400_000_000_000
VERSION_1 = (Path(__file__).parent / "schema_of_version_1.sql").read_text("utf-8")
OF_VERSION_1 = [name for name in COLUMNS if name not in ("duplicate_of", "shadow", "skew_h")]
SOME_CALLS = [
    *(make_call(number, start_ns=START_NS + number * DAY_NS) for number in range(1, 40)),
    make_call(50, cost=Cost(Status.UNPRICED, reason="unknown model"), ttft_ns=None, price_context={}),
    make_call(51, usage=Usage(buckets={Bucket.INPUT: 5, Bucket.INPUT_AUDIO: 7, Bucket.OUTPUT: 1})),
    make_call(52, cost=make_cost(reported_usd=Decimal("0.5"))),
]


def first_version(ledger: Ledger, calls: list[LLMCall]) -> None:
    """A ledger as the version before migrations made it, with these lines."""
    ledger.execute("CREATE DATABASE {database}")
    for statement in ddl.statements_of(VERSION_1):
        ledger.execute(statement.text)
    block = native_block({name: column for name, column in columns(calls).items() if name in OF_VERSION_1})
    ledger.insert("call_versions", OF_VERSION_1, block, "Native")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"chdb://{tmp_path}/ledger"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, read_only=False) as opened:
        yield opened


def test_an_empty_ledger_is_set_up_once(ledger: Ledger) -> None:
    """
    Every migration is applied and noted with its checksum; a second time there is nothing to do.
    """
    migrations.prepare(ledger)
    state = migrations.State.of(ledger)

    assert {m.number: (m.name, m.checksum) for m in ddl.migrations()} == state.recorded
    assert ((), (), (), ()) == (state.to_apply, state.changed, state.newer, state.damaged)
    assert [] == list(migrations.plan(state))


def test_statements_can_be_run_again(ledger: Ledger) -> None:
    """
    Whoever is killed in the middle, or two at once, end where one alone does.
    """
    migrations.prepare(ledger)
    for statement in ddl.statements():
        ledger.execute(statement.text)

    assert {statement.text.split()[0] for statement in ddl.statements()} <= {"CREATE", "ALTER", "INSERT"}


def test_a_ledger_of_version_1_is_upgraded_with_its_lines(ledger: Ledger, url: str) -> None:
    """
    Every column of every line is what it was; the rollups add up to it; the old table is gone.
    """
    first_version(ledger, SOME_CALLS)
    names = [name for name in OF_VERSION_1 if name not in ("version", "run", "price_context", "buckets", "ttft_ms")]
    lines = f"SELECT {', '.join(names)}, mapSort(buckets), mapSort(price_context), ttft_ms, ingested_at FROM calls"
    before = ledger.query(f"{lines} ORDER BY call_id").rows

    migrations.prepare(ledger)

    after = ledger.query(f"{lines} ORDER BY call_id").rows
    kept = [name not in ("response_id", "parent_span_id") for name in names]  # retention may have dropped those

    def compared(row: tuple[Any, ...]) -> list[Any]:
        return [value for value, is_kept in zip(row, [*kept, True, True, True], strict=False) if is_kept]

    assert [compared(row) for row in before] == [compared(row) for row in after]
    assert {0} == {int((new[-1] - old[-1]).total_seconds()) for old, new in zip(before, after, strict=True)}
    assert (
        ledger.query("SELECT sum(cost_usd) FROM calls").rows
        == ledger.query("SELECT sum(cost_usd) FROM chargeback").rows
    )
    assert "call_versions_1" not in migrations.State.of(ledger).objects
    sink = open_sink(url)
    sink.write([make_call(99)])
    sink.close()
    assert [(len(SOME_CALLS) + 1,)] == ledger.query("SELECT count() FROM calls").rows


@pytest.mark.parametrize("stop_after", [2, 3, 4, 20, 35, 39, 40, 41])
def test_an_upgrade_that_is_cut_off_goes_on(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, stop_after: int) -> None:
    """
    Killed before any statement, the next attempt completes it, and no line is lost or doubled.
    """
    first_version(ledger, SOME_CALLS)
    expected = ledger.query("SELECT count(), sum(cost_usd) FROM calls").rows
    done, execute = 0, Ledger.execute

    def killed(self: Ledger, *arguments: object) -> None:
        nonlocal done
        done += 1
        if done > stop_after:
            raise KeyboardInterrupt
        execute(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "execute", killed)
        with pytest.raises(KeyboardInterrupt):
            migrations.prepare(ledger)
    migrations.prepare(ledger)

    assert expected == ledger.query("SELECT count(), sum(cost_usd) FROM calls").rows
    assert not migrations.State.of(ledger).has_old_calls


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    with serve(tmp_path) as running:
        yield running


def url_of(server: ChdbServer) -> str:
    return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}"


def test_a_writer_leaves_an_older_ledger_on_a_server_alone_and_keeps_its_lines(server: ChdbServer) -> None:
    """
    The error is to be retried and says what to run; after `schema apply` the same write goes through.
    """
    with Ledger.open(url_of(server), read_only=False) as ledger:
        first_version(ledger, SOME_CALLS[:2])
    sink = open_sink(url_of(server))

    with pytest.raises(RetryableError, match="otel-llmcost schema apply"):
        sink.write([make_call(99)])
    assert 0 == cli.main(["schema", "apply", "--ledger", url_of(server)])
    sink.write([make_call(99)])

    with Ledger.open(url_of(server)) as ledger:
        assert [(3,)] == ledger.query("SELECT count() FROM calls").rows
    sink.close()


def test_an_older_writer_goes_on_writing_to_an_upgraded_ledger(ledger: Ledger) -> None:
    """
    Rows in the columns of version 1 are lines like any other, and show in settled rollups.
    """
    first_version(ledger, SOME_CALLS)
    migrations.prepare(ledger)
    settle(ledger, grace_s=0)

    block = native_block({n: c for n, c in columns([make_call(99)]).items() if n in OF_VERSION_1})
    ledger.insert("call_versions", OF_VERSION_1, block, "Native")

    assert [(len(SOME_CALLS) + 1,)] == ledger.query("SELECT count() FROM calls").rows
    assert [(len(SOME_CALLS) + 1,)] == ledger.query("SELECT sum(calls) FROM calls_hourly").rows


def test_a_newer_ledger_is_told_and_not_touched(ledger: Ledger, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `schema status` names what is newer, `apply` refuses; a writer whose columns are all there goes on.
    """
    migrations.prepare(ledger)
    ledger.execute("INSERT INTO {database}.schema_migrations (number, name, checksum) VALUES (9000, 'later', 'x')")

    sink = open_sink(url)
    sink.write([make_call(1)])
    sink.close()
    codes = [cli.main(["schema", action, "--ledger", url]) for action in ("status", "apply")]

    output = capsys.readouterr()
    assert [0, ConfigError.exit_code] == codes
    assert "9000_later" in output.out
    assert "9000_later" in output.err


def test_a_ledger_that_lacks_columns_keeps_nobodys_lines_from_being_retried(ledger: Ledger, url: str) -> None:
    """
    A column that the ledger lacks is no fault of the line: the write is to be retried, and names the column.
    """
    migrations.prepare(ledger)
    ledger.execute("ALTER TABLE {database}.call_versions DROP COLUMN tags")
    sink = open_sink(url)

    with pytest.raises(RetryableError, match="tags"):
        sink.write([make_call(1)])
    ledger.execute("ALTER TABLE {database}.call_versions ADD COLUMN tags Map(LowCardinality(String), String)")
    sink.write([make_call(1)])
    sink.close()

    assert [(1,)] == ledger.query("SELECT count() FROM calls").rows


def test_a_migration_that_was_changed_is_refused(ledger: Ledger) -> None:
    """
    A released migration is never edited: where one was, apply says which and does nothing.
    """
    migrations.prepare(ledger)
    ledger.execute("INSERT INTO {database}.schema_migrations (number, name, checksum) VALUES (1, 'calls', 'other')")

    with pytest.raises(ConfigError, match="0001_calls"):
        migrations.apply(ledger, migrations.State.of(ledger))


def test_schema_status_plan_and_apply(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An empty ledger is to be set up (exit code 1), then it is not; the plan is SQL that can be run by hand.
    """
    codes = [cli.main(["schema", action, "--ledger", url]) for action in ("status", "plan", "apply", "status", "plan")]
    output = capsys.readouterr().out

    assert [1, 1, 0, 0, 0] == codes
    assert "CREATE TABLE IF NOT EXISTS `llmcost`.call_versions" in output
    assert "applied 0001_calls" in output


def test_retention_is_what_the_configuration_says(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    TTLs of the tables follow the configuration; old months go, their totals stay, and are not made again from nothing.
    """
    migrations.prepare(ledger)
    sink = open_sink(url)
    sink.write([make_call(1, start_ns=START_NS - 600 * DAY_NS), make_call(2)])
    sink.close()
    settle(ledger, grace_s=0)
    monkeypatch.setenv("OTEL_LLMCOST_STORAGE_CALLS_DAYS", "430")

    assert 1 == cli.main(["schema", "status", "--ledger", url])
    assert "storage.calls_days: 430 is configured" in capsys.readouterr().out
    assert 0 == cli.main(["schema", "apply", "--ledger", url])
    assert 0 == cli.main(["schema", "status", "--ledger", url])
    ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")

    assert [(1,)] == ledger.query("SELECT count() FROM calls").rows
    assert [(2,)] == ledger.query("SELECT sum(calls) FROM calls_hourly").rows
    rebuild(ledger, grace_s=0)
    assert [(2,)] == ledger.query("SELECT sum(calls) FROM calls_hourly").rows
    assert [(2,)] == ledger.query("SELECT sum(calls) FROM chargeback").rows


def test_calls_are_not_let_go_before_their_totals_are_stored(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    An import of old calls, and at once a retention that drops them: refused, and stored before it is applied.
    """
    migrations.prepare(ledger)
    sink = open_sink(url)
    sink.write([make_call(1, start_ns=START_NS - 600 * DAY_NS), make_call(2)])
    sink.close()
    monkeypatch.setenv("OTEL_LLMCOST_STORAGE_CALLS_DAYS", "430")

    assert 4 == cli.main(["schema", "apply", "--ledger", url])
    assert "five minutes later" in capsys.readouterr().err
    assert 1 == cli.main(["schema", "status", "--ledger", url])
    monkeypatch.setattr(retention, "settle", lambda ledger: settle(ledger, grace_s=0))
    assert 0 == cli.main(["schema", "apply", "--ledger", url])
    ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")
    for _ in range(2):
        assert [(1,)] == ledger.query("SELECT count() FROM calls").rows
        assert [(2,)] == ledger.query("SELECT sum(calls) FROM calls_hourly").rows
        assert [(2,)] == ledger.query("SELECT sum(calls) FROM chargeback").rows
        settle(ledger, grace_s=0)


def test_totals_go_when_they_are_old_and_calls_with_them(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    `storage.rollups_days` drops whole months of every table of totals.
    """
    migrations.prepare(ledger)
    sink = open_sink(url)
    sink.write([make_call(1, start_ns=START_NS - 900 * DAY_NS), make_call(2)])
    sink.close()
    settle(ledger, grace_s=0)
    for name in ("CALLS", "ROLLUPS"):
        monkeypatch.setenv(f"OTEL_LLMCOST_STORAGE_{name}_DAYS", "430")

    assert 0 == cli.main(["schema", "apply", "--ledger", url])
    for table in ("call_versions", *retention.ROLLUPS):
        ledger.execute(f"OPTIMIZE TABLE {{database}}.{table} FINAL")
        day = "ts" if table == "call_versions" else "day"
        assert [(1,)] == ledger.query(f"SELECT uniqExact(toStartOfMonth({day})) FROM {table}").rows
    assert [(1, 1)] == ledger.query("SELECT sum(calls), (SELECT sum(calls) FROM calls_hourly) FROM chargeback").rows


def test_details_of_old_calls_are_dropped(ledger: Ledger, url: str) -> None:
    """
    Response ids and parent spans serve the last weeks; the rest of the line stays.
    """
    migrations.prepare(ledger)
    sink = open_sink(url)
    sink.write([make_call(1, start_ns=START_NS - 600 * DAY_NS)])
    sink.close()
    ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")

    row = ledger.query("SELECT response_id, parent_span_id, cost_usd, trace_id != '' FROM calls").rows[0]
    assert ("", "", Decimal("0.0043"), 1) == row
    assert [] == list(changes(Retention(), Retention(), ddl.ONE_SERVER))


CLUSTERS = [Cluster("main"), Cluster("main", sharded=True), Cluster("{cluster}")]


@pytest.mark.parametrize("cluster", CLUSTERS, ids=str)
def test_statements_for_a_cluster_are_sql(ledger: Ledger, cluster: Cluster) -> None:
    """
    The engine's own parser reads every statement; each is ON CLUSTER, each MergeTree replicated.
    """
    texts = [text for statement in ddl.statements() for text in statement.on(cluster)]
    texts += changes(Retention(), Retention(400, 0, 900), cluster)

    for text in texts:
        shown = ledger.client.query("SELECT formatQuery({sql:String})", parameters={"sql": in_database(text)})
        assert shown.result_rows
        assert f"ON CLUSTER `{cluster.name}`" in text or text.startswith("INSERT")
        assert "MergeTree" not in text or "ENGINE = Replicated" in text
        assert "non_replicated" not in text


def in_database(text: str) -> str:
    return text.replace("{database}", "`llmcost`")


def test_a_sharded_ledger_has_a_table_per_shard_and_one_in_front() -> None:
    """
    Versions of one call meet on one shard; what is small is the same on all servers.
    """
    texts = [text for statement in ddl.statements() for text in statement.on(Cluster("main", sharded=True))]

    local, front = (text for text in texts if "TABLE IF NOT EXISTS {database}.call_versions" in text)
    assert "call_versions_local ON CLUSTER `main`" in local
    assert "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', version)" in local
    assert "Distributed(`main`, {database}, call_versions_local, sipHash64(call_id))" in front
    totals = next(text for text in texts if "TABLE IF NOT EXISTS {database}.daily_totals" in text)
    assert "ReplicatedMergeTree('/clickhouse/tables/{uuid}/all', '{shard}-{replica}')" in totals


@pytest.mark.parametrize("only", [{}, {"team": ["cx", "O'Neil"]}, {"customer": ["a\\b"]}], ids=str)
def test_roles_are_sql(ledger: Ledger, only: dict[str, list[str]]) -> None:
    """
    The engine's own parser reads what an administrator is to run; hostile values stay values.
    """
    texts = list(roles.statements("llmcost", "readers", only, Cluster("main")))

    shown = [
        ledger.client.query("SELECT formatQuery({sql:String})", parameters={"sql": text}).result_rows[0][0]
        for text in texts
    ]
    assert any(text.startswith("GRANT") and "SELECT" in text for text in shown)
    assert bool(only) == any("ROW POLICY" in text for text in shown)
    if "customer" in only:
        assert [text for text in shown if text.startswith("REVOKE") and "hourly_totals" in text]


def test_a_role_for_an_embedded_ledger_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The embedded engine has no users; the error says what there is instead.
    """
    assert ConfigError.exit_code == cli.main(["schema", "roles", "--ledger", url])
    assert "CLICKHOUSE_PASSWORD" in capsys.readouterr().err
