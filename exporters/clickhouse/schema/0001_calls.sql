-- The ledger: every version of every bill line, and `calls`, which shows each call once.

-- Two observers of one call (the wire and an SDK span, a retry, an import) write two rows with the same call_id;
-- the row with the highest `version` is the line.
--
-- ORDER BY call_id alone: ReplacingMergeTree takes rows with equal sorting keys for versions of one row. Observers
-- may disagree on the start time, the model or the service, so nothing but the id may be part of that key.
-- No PARTITION BY: versions in two partitions are never merged, and a server that sets
-- do_not_merge_across_partitions_select_final would count a line on both sides of midnight. Nothing is lost by it:
-- FINAL may not skip a partition by its time, for the newest version could be in it. Questions over long times belong
-- to rollups.
--
-- Money is NULL where the price is not known: unknown is never 0.
CREATE TABLE IF NOT EXISTS {database}.call_versions
(
    call_id              FixedString(16) CODEC(NONE),
    version              UInt64 CODEC(T64, ZSTD(1)),
    -- the call that this row repeats: whatever is stored under this row's call_id is no line (docs/identity.md)
    duplicate_of         FixedString(16) CODEC(ZSTD(1)),
    ts                   DateTime64(9) CODEC(Delta(8), ZSTD(3)),
    trace_id             FixedString(16) CODEC(ZSTD(1)),
    span_id              FixedString(8) CODEC(ZSTD(1)),
    parent_span_id       FixedString(8) CODEC(ZSTD(1)),
    source               LowCardinality(String),
    emitter              LowCardinality(String),
    service              LowCardinality(String),
    environment          LowCardinality(String),
    provider             LowCardinality(String),
    host                 LowCardinality(String),
    model                LowCardinality(String),
    requested_model      LowCardinality(String),
    operation            LowCardinality(String),
    response_id          String CODEC(ZSTD(1)),
    streaming            UInt8 CODEC(T64, ZSTD(1)),
    outcome              LowCardinality(String),
    http_status          Nullable(UInt16) CODEC(T64, ZSTD(1)),
    error_type           LowCardinality(String),
    finish_reason        LowCardinality(String),
    attempt              UInt16 CODEC(T64, ZSTD(1)),
    service_tier         LowCardinality(String),
    price_context        Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    team                 LowCardinality(String),
    feature              LowCardinality(String),
    customer             LowCardinality(String),
    user                 String CODEC(ZSTD(1)),
    agent                LowCardinality(String),
    workflow             LowCardinality(String),
    session              String CODEC(ZSTD(1)),
    run                  String CODEC(ZSTD(1)),
    tags                 Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    usage_known          UInt8 CODEC(T64, ZSTD(1)),
    usage_rule           LowCardinality(String),
    usage_flags          Array(String) CODEC(ZSTD(1)),
    -- exclusive buckets, as counted: what a line is priced from again
    buckets              Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),
    input_tokens         UInt64 CODEC(T64, ZSTD(1)),
    cache_read_tokens    UInt64 CODEC(T64, ZSTD(1)),
    cache_write_tokens   UInt64 CODEC(T64, ZSTD(1)),
    output_tokens        UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens     UInt64 CODEC(T64, ZSTD(1)),
    duration_ms          UInt32 CODEC(T64, ZSTD(1)),
    ttft_ms              Nullable(UInt32) CODEC(T64, ZSTD(1)),
    cost_usd             Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    list_cost_usd        Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    input_cost_usd       Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    output_cost_usd      Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    cache_read_cost_usd  Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    cache_write_cost_usd Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    other_cost_usd       Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    cache_savings_usd    Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    reported_cost_usd    Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    status               LowCardinality(String),
    reason               LowCardinality(String),
    price_id             LowCardinality(String),
    price_book           LowCardinality(String),
    ingested_at          DateTime64(3) DEFAULT now64(3) CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY call_id
-- A batch that is sent again after a lost answer carries the same insert_deduplication_token. A plain MergeTree
-- remembers tokens only where this window is set.
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per call at all times, also before parts are merged. Ids are lower-case hex, as in otel_traces; '' is none.
-- A run that nothing names is its trace.
CREATE OR REPLACE VIEW {database}.calls AS
SELECT
    ts,
    lower(hex(call_id)) AS call_id,
    if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace_id,
    if(span_id = toFixedString('', 8), '', lower(hex(span_id))) AS span_id,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS parent_span_id,
    if(v.run = '', trace_id, v.run) AS run,
    * EXCEPT (ts, call_id, trace_id, span_id, parent_span_id, run, duplicate_of)
FROM {database}.call_versions AS v FINAL
WHERE v.duplicate_of = toFixedString('', 16);

-- Records that are no lines: which call each repeats. Those that a nearer record named unseen have no fields of their
-- own.
CREATE OR REPLACE VIEW {database}.duplicates AS
SELECT
    v.ts AS ts,
    lower(hex(v.call_id)) AS call_id,
    lower(hex(v.duplicate_of)) AS duplicate_of,
    if(v.trace_id = toFixedString('', 16), '', lower(hex(v.trace_id))) AS trace_id,
    if(v.span_id = toFixedString('', 8), '', lower(hex(v.span_id))) AS span_id,
    v.source AS source, v.emitter AS emitter, v.service AS service, v.provider AS provider, v.model AS model,
    v.usage_known AS usage_known, v.usage_rule AS usage_rule,
    v.input_tokens AS input_tokens, v.output_tokens AS output_tokens, v.cost_usd AS cost_usd
FROM {database}.call_versions AS v FINAL
WHERE v.duplicate_of != toFixedString('', 16);
