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
CREATE OR REPLACE VIEW {database}.calls AS
SELECT
    ts,
    lower(hex(call_id)) AS call_id,
    if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace_id,
    if(span_id = toFixedString('', 8), '', lower(hex(span_id))) AS span_id,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS parent_span_id,
    * EXCEPT (ts, call_id, trace_id, span_id, parent_span_id)
FROM {database}.call_versions FINAL;
-- Questions over `calls`. Plain views: exact by construction, whatever arrived twice or late.
-- Hours and days are UTC, as on the providers' invoices. Sums of money skip lines without a price and are NULL where
-- no line has one; unpriced_calls says how many were skipped.

CREATE OR REPLACE VIEW {database}.calls_hourly AS
SELECT
    toStartOfHour(ts, 'UTC') AS hour,
    environment, service, provider, model, team, feature, customer, status,
    count() AS calls,
    countIf(outcome = 'error') AS errors,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens,
    sum(c.cache_write_tokens) AS cache_write_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.reasoning_tokens) AS reasoning_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.list_cost_usd) AS list_cost_usd,
    sum(c.input_cost_usd) AS input_cost_usd,
    sum(c.output_cost_usd) AS output_cost_usd,
    sum(c.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(c.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(c.other_cost_usd) AS other_cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd
FROM {database}.calls AS c
GROUP BY hour, environment, service, provider, model, team, feature, customer, status;

CREATE OR REPLACE VIEW {database}.calls_daily AS
SELECT
    toDate(hour, 'UTC') AS day,
    environment, service, provider, model, team, feature, customer, status,
    sum(h.calls) AS calls,
    sum(h.errors) AS errors,
    sum(h.unpriced_calls) AS unpriced_calls,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cache_read_tokens) AS cache_read_tokens,
    sum(h.cache_write_tokens) AS cache_write_tokens,
    sum(h.output_tokens) AS output_tokens,
    sum(h.reasoning_tokens) AS reasoning_tokens,
    sum(h.cost_usd) AS cost_usd,
    sum(h.list_cost_usd) AS list_cost_usd,
    sum(h.input_cost_usd) AS input_cost_usd,
    sum(h.output_cost_usd) AS output_cost_usd,
    sum(h.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(h.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(h.other_cost_usd) AS other_cost_usd,
    sum(h.cache_savings_usd) AS cache_savings_usd
FROM {database}.calls_hourly AS h
GROUP BY day, environment, service, provider, model, team, feature, customer, status;

-- Who pays for what.
CREATE OR REPLACE VIEW {database}.chargeback AS
SELECT
    day, team, feature, customer, provider, model,
    sum(d.calls) AS calls,
    sum(d.input_tokens + d.output_tokens) AS tokens,
    sum(d.cost_usd) AS cost_usd,
    sum(d.list_cost_usd) AS list_cost_usd,
    sum(d.cache_savings_usd) AS cache_savings_usd,
    sum(d.unpriced_calls) AS unpriced_calls
FROM {database}.calls_daily AS d
GROUP BY day, team, feature, customer, provider, model;

-- How fast money is being spent, minute by minute.
CREATE OR REPLACE VIEW {database}.spend_rate AS
SELECT
    toStartOfMinute(ts, 'UTC') AS minute,
    environment, provider, model, team, feature,
    count() AS calls,
    sum(c.cost_usd) AS cost_usd,
    sum(c.cost_usd) * 60 AS usd_per_hour
FROM {database}.calls AS c
GROUP BY minute, environment, provider, model, team, feature;

-- How much of the traffic has a price and an owner. '(none)' is what attribution writes where no rule named a team.
CREATE OR REPLACE VIEW {database}.coverage AS
SELECT
    toStartOfHour(ts, 'UTC') AS hour,
    count() AS calls,
    countIf(cost_usd IS NOT NULL) AS priced_calls,
    sum(input_tokens + output_tokens) AS tokens,
    sumIf(input_tokens + output_tokens, cost_usd IS NOT NULL) AS priced_tokens,
    countIf(team NOT IN ('', '(none)')) AS attributed_calls,
    countIf(NOT usage_known AND cost_usd IS NULL) AS unknown_usage_calls,
    sumMap(map(status, 1)) AS calls_by_status,
    sumMapIf(map(reason, 1), reason != '') AS calls_by_reason
FROM {database}.calls
GROUP BY hour;
