-- Rollups: exact at all times, whatever arrived twice, late or in pieces, and computed once.

-- Hours and days that nothing was written to for a while are settled: their totals are stored. The others are live:
-- computed from `calls` when asked. A view is the one and the other (UNION ALL), and which is which is decided once a
-- query, by the scalar subquery over hour_states or day_states, which has the same text wherever it stands
-- (docs/decisions/0015-settled-and-live.md).
--
-- The live queries read the table itself, for the view `calls` has so many columns that naming them all takes a planner
-- longer than adding up an hour.
--
-- Hours and days are UTC, as on the providers' invoices. Sums of money skip lines without a price and are NULL where
-- no line has one; unpriced_calls says how many were skipped.

-- When an hour was last written to. Writers say so before they insert; the view below says it for everybody else.
CREATE TABLE IF NOT EXISTS {database}.touched_hours
(
    day        Date32,
    hour       DateTime('UTC'),
    touched_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(touched_at)
ORDER BY (day, hour);

-- Another version of a line may lie in another hour, `skew_h` away at most: those are touched with it.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.touched_by_insert TO {database}.touched_hours AS
SELECT
    toDate32(reached, 'UTC') AS day,
    toStartOfHour(reached, 'UTC') AS hour,
    now64(3) AS touched_at
FROM
(
    SELECT arrayJoin(arrayMap(h -> began + toIntervalHour(h), range(-toInt16(skew_h), toInt16(skew_h) + 1))) AS reached
    FROM (SELECT DISTINCT toStartOfHour(ts, 'UTC') AS began, skew_h FROM {database}.call_versions WHERE shadow = 0)
)
GROUP BY day, hour;

-- Which totals count. `grain` is hour or day (then `hour` is the day's beginning); `seen`: the last touch that the
-- totals know; 1970: they are being made. The newest `seen` of a unit counts.
CREATE TABLE IF NOT EXISTS {database}.settled_units
(
    grain      LowCardinality(String),
    day        Date32,
    hour       DateTime('UTC'),
    seen       DateTime64(3),
    settlement UInt64,
    settled_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (grain, day, hour, settlement, seen);

-- Options of the ledger itself, written by `otel-llmcost schema apply`. calls_days: how long calls are kept.
CREATE TABLE IF NOT EXISTS {database}.ledger_options
(
    name       String,
    value      Int64,
    written_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY name;

-- Each hour with calls, and its settlement; 0 is live. Once retention may have dropped calls of
-- it, its totals are never made again.
CREATE OR REPLACE VIEW {database}.hour_states AS
WITH
    (SELECT argMax(value, written_at) FROM {database}.ledger_options WHERE name = 'calls_days') AS calls_days
SELECT
    t.day AS day, t.hour AS hour,
    if(
        t.touched_at <= s.seen OR (calls_days > 0 AND toStartOfMonth(t.day) + toIntervalDay(calls_days + 31) <= today()),
        s.settlement, 0
    ) AS settlement
FROM (SELECT day, hour, max(touched_hours.touched_at) AS touched_at FROM {database}.touched_hours GROUP BY day, hour) AS t
LEFT JOIN
(
    SELECT day, hour, max(settled_units.seen) AS seen, argMax(settled_units.settlement, (settled_units.seen, settled_units.settlement)) AS settlement
    FROM {database}.settled_units
    WHERE grain = 'hour' AND settled_units.seen > fromUnixTimestamp64Milli(0)
    GROUP BY day, hour
) AS s USING (day, hour);

-- Each day with calls, and its settlement; 0 is live. A day is touched with its hours. Once retention may have dropped calls of
-- it, its totals are never made again.
CREATE OR REPLACE VIEW {database}.day_states AS
WITH
    (SELECT argMax(value, written_at) FROM {database}.ledger_options WHERE name = 'calls_days') AS calls_days
SELECT
    t.day AS day,
    if(
        t.touched_at <= s.seen OR (calls_days > 0 AND toStartOfMonth(t.day) + toIntervalDay(calls_days + 31) <= today()),
        s.settlement, 0
    ) AS settlement
FROM (SELECT day, max(touched_hours.touched_at) AS touched_at FROM {database}.touched_hours GROUP BY day) AS t
LEFT JOIN
(
    SELECT day, max(settled_units.seen) AS seen, argMax(settled_units.settlement, (settled_units.seen, settled_units.settlement)) AS settlement
    FROM {database}.settled_units
    WHERE grain = 'day' AND settled_units.seen > fromUnixTimestamp64Milli(0)
    GROUP BY day
) AS s USING (day);

-- Hour by hour, by all dimensions of few values; service_tier is 'batch' for whatever was billed as a batch. Waste is
-- what calls cost that failed or were given up. Histograms: key k counts values from 2^(k/8) to 2^((k+1)/8), of
-- milliseconds and of USD (a cost of 0 counts as 1e-12); they add up with sumMap.
CREATE TABLE IF NOT EXISTS {database}.hourly_totals
(
    settlement           UInt64 CODEC(ZSTD(1)),
    day                  Date32 CODEC(ZSTD(1)),
    hour                 DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment          LowCardinality(String) CODEC(ZSTD(3)),
    service              LowCardinality(String) CODEC(ZSTD(3)),
    provider             LowCardinality(String) CODEC(ZSTD(3)),
    model                LowCardinality(String) CODEC(ZSTD(3)),
    team                 LowCardinality(String) CODEC(ZSTD(3)),
    feature              LowCardinality(String) CODEC(ZSTD(3)),
    agent                LowCardinality(String) CODEC(ZSTD(3)),
    workflow             LowCardinality(String) CODEC(ZSTD(3)),
    service_tier         LowCardinality(String) CODEC(ZSTD(3)),
    status               LowCardinality(String) CODEC(ZSTD(3)),
    reason               LowCardinality(String) CODEC(ZSTD(3)),
    calls                UInt64 CODEC(T64, ZSTD(1)),
    errors               UInt64 CODEC(T64, ZSTD(1)),
    aborted_calls        UInt64 CODEC(T64, ZSTD(1)),
    retries              UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls       UInt64 CODEC(T64, ZSTD(1)),
    unknown_usage_calls  UInt64 CODEC(T64, ZSTD(1)),
    input_tokens         UInt64 CODEC(T64, ZSTD(1)),
    cache_read_tokens    UInt64 CODEC(T64, ZSTD(1)),
    cache_write_tokens   UInt64 CODEC(T64, ZSTD(1)),
    output_tokens        UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens     UInt64 CODEC(T64, ZSTD(1)),
    unpriced_tokens      UInt64 CODEC(T64, ZSTD(1)),
    cost_usd             Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    list_cost_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_cost_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    output_cost_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_read_cost_usd  Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_write_cost_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    other_cost_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_savings_usd    Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    duration_histogram   Map(Int16, UInt64) CODEC(ZSTD(3)),
    wasted_cost_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    ttft_histogram       Map(Int16, UInt64) CODEC(ZSTD(3)),
    cost_histogram       Map(Int16, UInt64) CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(day)
ORDER BY (hour, environment, service, provider, model, team, feature, agent, workflow, service_tier, status, reason)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.hourly_live AS
SELECT
    toDate32(ts, 'UTC') AS day, toStartOfHour(ts, 'UTC') AS hour,
    environment, service, provider, model, team, feature, agent, workflow, service_tier, status, reason,
    count() AS calls,
    countIf(c.outcome = 'error') AS errors,
    countIf(c.outcome = 'aborted') AS aborted_calls,
    countIf(c.attempt > 1) AS retries,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    countIf(NOT c.usage_known AND c.cost_usd IS NULL) AS unknown_usage_calls,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens,
    sum(c.cache_write_tokens) AS cache_write_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.reasoning_tokens) AS reasoning_tokens,
    sumIf(c.input_tokens + c.output_tokens, c.cost_usd IS NULL) AS unpriced_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.list_cost_usd) AS list_cost_usd,
    sum(c.input_cost_usd) AS input_cost_usd,
    sum(c.output_cost_usd) AS output_cost_usd,
    sum(c.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(c.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(c.other_cost_usd) AS other_cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd,
    sumMap(map(toInt16(floor(8 * log2(greatest(c.duration_ms, 1)))), toUInt64(1))) AS duration_histogram,
    sumIf(c.cost_usd, c.outcome != 'ok') AS wasted_cost_usd,
    sumMapIf(map(toInt16(floor(8 * log2(greatest(c.ttft_plus_1 - 1, 1)))), toUInt64(1)), c.ttft_plus_1 > 0) AS ttft_histogram,
    sumMapIf(
        map(toInt16(floor(8 * log2(greatest(toFloat64(ifNull(c.cost_usd, 0)), 1e-12)))), toUInt64(1)), c.cost_usd IS NOT NULL) AS cost_histogram
FROM
(
    SELECT
        ts, environment, service, team, feature, agent, workflow, status, reason, outcome, attempt, ttft_plus_1, usage_known, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, other_cost_usd, duration_ms,
        {provider} AS provider,
        {model} AS model,
        if(position(facets, '"processing":"batch"') > 0, 'batch',
            {service_tier}) AS service_tier,
        {cost_usd} AS cost_usd,
        {list_cost_usd} AS list_cost_usd,
        {input_cost_usd} AS input_cost_usd,
        {output_cost_usd} AS output_cost_usd,
        {cache_read_cost_usd} AS cache_read_cost_usd,
        {cache_write_cost_usd} AS cache_write_cost_usd,
        {cache_savings_usd} AS cache_savings_usd
    FROM {database}.call_versions FINAL
    WHERE shadow = 0 AND duplicate_of = toFixedString('', 16)
) AS c
GROUP BY day, hour, environment, service, provider, model, team, feature, agent, workflow, service_tier, status, reason;

-- Minute by minute, for how fast money is spent.
CREATE TABLE IF NOT EXISTS {database}.minute_totals
(
    settlement        UInt64 CODEC(ZSTD(1)),
    day               Date32 CODEC(ZSTD(1)),
    hour              DateTime('UTC') CODEC(Delta, ZSTD(1)),
    minute            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment       LowCardinality(String) CODEC(ZSTD(3)),
    provider          LowCardinality(String) CODEC(ZSTD(3)),
    model             LowCardinality(String) CODEC(ZSTD(3)),
    team              LowCardinality(String) CODEC(ZSTD(3)),
    feature           LowCardinality(String) CODEC(ZSTD(3)),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    errors            UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    tokens            UInt64 CODEC(T64, ZSTD(1)),
    unpriced_tokens   UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_savings_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(day)
ORDER BY (minute, environment, provider, model, team, feature)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.minute_live AS
SELECT
    toDate32(ts, 'UTC') AS day, toStartOfHour(ts, 'UTC') AS hour, toStartOfMinute(ts, 'UTC') AS minute,
    environment, provider, model, team, feature,
    count() AS calls,
    countIf(c.outcome = 'error') AS errors,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    sum(c.input_tokens + c.output_tokens) AS tokens,
    sumIf(c.input_tokens + c.output_tokens, c.cost_usd IS NULL) AS unpriced_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd
FROM
(
    SELECT
        ts, environment, team, feature, outcome, input_tokens, output_tokens,
        {provider} AS provider,
        {model} AS model,
        {cost_usd} AS cost_usd,
        {cache_savings_usd} AS cache_savings_usd
    FROM {database}.call_versions FINAL
    WHERE shadow = 0 AND duplicate_of = toFixedString('', 16)
) AS c
GROUP BY day, hour, minute, environment, provider, model, team, feature;

-- Day by day, by customer too.
CREATE TABLE IF NOT EXISTS {database}.daily_totals
(
    settlement           UInt64 CODEC(ZSTD(1)),
    day                  Date32 CODEC(ZSTD(1)),
    environment          LowCardinality(String) CODEC(ZSTD(3)),
    service              LowCardinality(String) CODEC(ZSTD(3)),
    provider             LowCardinality(String) CODEC(ZSTD(3)),
    model                LowCardinality(String) CODEC(ZSTD(3)),
    team                 LowCardinality(String) CODEC(ZSTD(3)),
    feature              LowCardinality(String) CODEC(ZSTD(3)),
    customer             LowCardinality(String) CODEC(ZSTD(3)),
    calls                UInt64 CODEC(T64, ZSTD(1)),
    errors               UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls       UInt64 CODEC(T64, ZSTD(1)),
    unknown_usage_calls  UInt64 CODEC(T64, ZSTD(1)),
    input_tokens         UInt64 CODEC(T64, ZSTD(1)),
    cache_read_tokens    UInt64 CODEC(T64, ZSTD(1)),
    cache_write_tokens   UInt64 CODEC(T64, ZSTD(1)),
    output_tokens        UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens     UInt64 CODEC(T64, ZSTD(1)),
    unpriced_tokens      UInt64 CODEC(T64, ZSTD(1)),
    cost_usd             Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    list_cost_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_cost_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    output_cost_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_read_cost_usd  Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_write_cost_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    other_cost_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_savings_usd    Nullable(Decimal(38, 12)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(day)
ORDER BY (day, environment, service, provider, model, team, feature, customer)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.daily_live AS
SELECT
    toDate32(ts, 'UTC') AS day,
    environment, service, provider, model, team, feature, customer,
    count() AS calls,
    countIf(c.outcome = 'error') AS errors,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    countIf(NOT c.usage_known AND c.cost_usd IS NULL) AS unknown_usage_calls,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens,
    sum(c.cache_write_tokens) AS cache_write_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.reasoning_tokens) AS reasoning_tokens,
    sumIf(c.input_tokens + c.output_tokens, c.cost_usd IS NULL) AS unpriced_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.list_cost_usd) AS list_cost_usd,
    sum(c.input_cost_usd) AS input_cost_usd,
    sum(c.output_cost_usd) AS output_cost_usd,
    sum(c.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(c.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(c.other_cost_usd) AS other_cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd
FROM
(
    SELECT
        ts, environment, service, team, feature, customer, outcome, usage_known, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, other_cost_usd,
        {provider} AS provider,
        {model} AS model,
        {cost_usd} AS cost_usd,
        {list_cost_usd} AS list_cost_usd,
        {input_cost_usd} AS input_cost_usd,
        {output_cost_usd} AS output_cost_usd,
        {cache_read_cost_usd} AS cache_read_cost_usd,
        {cache_write_cost_usd} AS cache_write_cost_usd,
        {cache_savings_usd} AS cache_savings_usd
    FROM {database}.call_versions FINAL
    WHERE shadow = 0 AND duplicate_of = toFixedString('', 16)
) AS c
GROUP BY day, environment, service, provider, model, team, feature, customer;

-- Day by day, by user.
CREATE TABLE IF NOT EXISTS {database}.user_totals
(
    settlement        UInt64 CODEC(ZSTD(1)),
    day               Date32 CODEC(ZSTD(1)),
    team              LowCardinality(String) CODEC(ZSTD(3)),
    customer          LowCardinality(String) CODEC(ZSTD(3)),
    user              String CODEC(ZSTD(3)),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    errors            UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    tokens            UInt64 CODEC(T64, ZSTD(1)),
    unpriced_tokens   UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_savings_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(day)
ORDER BY (day, team, customer, user)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.user_live AS
SELECT
    toDate32(ts, 'UTC') AS day,
    team, customer, user,
    count() AS calls,
    countIf(c.outcome = 'error') AS errors,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    sum(c.input_tokens + c.output_tokens) AS tokens,
    sumIf(c.input_tokens + c.output_tokens, c.cost_usd IS NULL) AS unpriced_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd
FROM
(
    SELECT
        ts, team, customer, user, outcome, input_tokens, output_tokens,
        {cost_usd} AS cost_usd,
        {cache_savings_usd} AS cache_savings_usd
    FROM {database}.call_versions FINAL
    WHERE shadow = 0 AND duplicate_of = toFixedString('', 16)
) AS c
GROUP BY day, team, customer, user;

-- Day by day, conversations: calls of one session, each day of it on its own. Histograms of how many calls a conversation
-- had that day and how many tokens, keys as above.
CREATE TABLE IF NOT EXISTS {database}.conversation_totals
(
    settlement        UInt64 CODEC(ZSTD(1)),
    day               Date32 CODEC(ZSTD(1)),
    environment       LowCardinality(String) CODEC(ZSTD(3)),
    service           LowCardinality(String) CODEC(ZSTD(3)),
    team              LowCardinality(String) CODEC(ZSTD(3)),
    feature           LowCardinality(String) CODEC(ZSTD(3)),
    agent             LowCardinality(String) CODEC(ZSTD(3)),
    conversations     UInt64 CODEC(T64, ZSTD(1)),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    input_tokens      UInt64 CODEC(T64, ZSTD(1)),
    cache_read_tokens UInt64 CODEC(T64, ZSTD(1)),
    output_tokens     UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    calls_histogram   Map(Int16, UInt64) CODEC(ZSTD(3)),
    tokens_histogram  Map(Int16, UInt64) CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(day)
ORDER BY (day, environment, service, team, feature, agent)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.conversation_live AS
SELECT
    day, environment, service, team, feature, agent,
    count() AS conversations,
    sum(c.calls) AS calls,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.cost_usd) AS cost_usd,
    sumMap(map(toInt16(floor(8 * log2(c.calls))), toUInt64(1))) AS calls_histogram,
    sumMap(map(toInt16(floor(8 * log2(greatest(c.input_tokens + c.output_tokens, 1)))), toUInt64(1))) AS tokens_histogram
FROM
(
    SELECT
        day, environment, service, team, feature, agent, session,
        count() AS calls,
        sum(l.input_tokens) AS input_tokens,
        sum(l.cache_read_tokens) AS cache_read_tokens,
        sum(l.output_tokens) AS output_tokens,
        sum(l.cost_usd) AS cost_usd
    FROM
    (
        SELECT
            toDate32(ts, 'UTC') AS day, environment, service, team, feature, agent, session, input_tokens,
            cache_read_tokens, output_tokens,
            {cost_usd} AS cost_usd
        FROM {database}.call_versions FINAL
        WHERE shadow = 0 AND duplicate_of = toFixedString('', 16) AND session != ''
    ) AS l
    GROUP BY day, environment, service, team, feature, agent, session
) AS c
GROUP BY day, environment, service, team, feature, agent;

-- Hour by hour. A condition on `day` beside the one on `hour` lets a question skip live days that it does not ask for.
CREATE OR REPLACE VIEW {database}.calls_hourly AS
SELECT
    day, hour,
    environment, service, provider, model, team, feature, agent, workflow, service_tier, status, reason,
    calls, errors, aborted_calls, retries, unpriced_calls, unknown_usage_calls, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens, cost_usd, list_cost_usd, input_cost_usd, output_cost_usd, cache_read_cost_usd, cache_write_cost_usd, other_cost_usd, cache_savings_usd, duration_histogram, wasted_cost_usd, ttft_histogram, cost_histogram
FROM {database}.hourly_totals
WHERE settlement IN (SELECT arrayJoin(arrayMap(u -> u.3, arrayFilter(u -> u.3 != 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states)))))
UNION ALL
SELECT
    day, hour,
    environment, service, provider, model, team, feature, agent, workflow, service_tier, status, reason,
    calls, errors, aborted_calls, retries, unpriced_calls, unknown_usage_calls, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens, cost_usd, list_cost_usd, input_cost_usd, output_cost_usd, cache_read_cost_usd, cache_write_cost_usd, other_cost_usd, cache_savings_usd, duration_histogram, wasted_cost_usd, ttft_histogram, cost_histogram
FROM {database}.hourly_live
WHERE day IN (SELECT arrayJoin(arrayDistinct(arrayMap(u -> u.1, arrayFilter(u -> u.3 = 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states))))))
AND (day, hour) IN (SELECT arrayJoin(arrayMap(u -> (u.1, u.2), arrayFilter(u -> u.3 = 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states)))));

-- Minute by minute.
CREATE OR REPLACE VIEW {database}.calls_by_minute AS
SELECT
    day, hour, minute,
    environment, provider, model, team, feature,
    calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
FROM {database}.minute_totals
WHERE settlement IN (SELECT arrayJoin(arrayMap(u -> u.3, arrayFilter(u -> u.3 != 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states)))))
UNION ALL
SELECT
    day, hour, minute,
    environment, provider, model, team, feature,
    calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
FROM {database}.minute_live
WHERE day IN (SELECT arrayJoin(arrayDistinct(arrayMap(u -> u.1, arrayFilter(u -> u.3 = 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states))))))
AND (day, hour) IN (SELECT arrayJoin(arrayMap(u -> (u.1, u.2), arrayFilter(u -> u.3 = 0, (SELECT groupArray((day, hour, settlement)) FROM {database}.hour_states)))));

-- Day by day, by customer too.
CREATE OR REPLACE VIEW {database}.calls_daily AS
SELECT
    day,
    environment, service, provider, model, team, feature, customer,
    calls, errors, unpriced_calls, unknown_usage_calls, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens, cost_usd, list_cost_usd, input_cost_usd, output_cost_usd, cache_read_cost_usd, cache_write_cost_usd, other_cost_usd, cache_savings_usd
FROM {database}.daily_totals
WHERE settlement IN (SELECT arrayJoin(arrayMap(u -> u.2, arrayFilter(u -> u.2 != 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states)))))
UNION ALL
SELECT
    day,
    environment, service, provider, model, team, feature, customer,
    calls, errors, unpriced_calls, unknown_usage_calls, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens, cost_usd, list_cost_usd, input_cost_usd, output_cost_usd, cache_read_cost_usd, cache_write_cost_usd, other_cost_usd, cache_savings_usd
FROM {database}.daily_live
WHERE day IN (SELECT arrayJoin(arrayDistinct(arrayMap(u -> u.1, arrayFilter(u -> u.2 = 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states))))));

-- What each user of a team and customer used and cost, day by day.
CREATE OR REPLACE VIEW {database}.users_daily AS
SELECT
    day,
    team, customer, user,
    calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
FROM {database}.user_totals
WHERE settlement IN (SELECT arrayJoin(arrayMap(u -> u.2, arrayFilter(u -> u.2 != 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states)))))
UNION ALL
SELECT
    day,
    team, customer, user,
    calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
FROM {database}.user_live
WHERE day IN (SELECT arrayJoin(arrayDistinct(arrayMap(u -> u.1, arrayFilter(u -> u.2 = 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states))))));

-- How much a conversation takes, day by day.
CREATE OR REPLACE VIEW {database}.conversations_daily AS
SELECT
    day,
    environment, service, team, feature, agent,
    conversations, calls, input_tokens, cache_read_tokens, output_tokens, cost_usd, calls_histogram, tokens_histogram
FROM {database}.conversation_totals
WHERE settlement IN (SELECT arrayJoin(arrayMap(u -> u.2, arrayFilter(u -> u.2 != 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states)))))
UNION ALL
SELECT
    day,
    environment, service, team, feature, agent,
    conversations, calls, input_tokens, cache_read_tokens, output_tokens, cost_usd, calls_histogram, tokens_histogram
FROM {database}.conversation_live
WHERE day IN (SELECT arrayJoin(arrayDistinct(arrayMap(u -> u.1, arrayFilter(u -> u.2 = 0, (SELECT groupArray((day, settlement)) FROM {database}.day_states))))));

-- Who pays for what. Rows of a day differ in one of their dimensions; no second grouping, for it would take most of the
-- time of a month's chargeback.
CREATE OR REPLACE VIEW {database}.chargeback AS
SELECT
    day, team, feature, customer, provider, model, environment, service,
    d.calls AS calls,
    d.input_tokens + d.output_tokens AS tokens,
    d.cost_usd AS cost_usd,
    d.list_cost_usd AS list_cost_usd,
    d.cache_savings_usd AS cache_savings_usd,
    d.unpriced_calls AS unpriced_calls
FROM {database}.calls_daily AS d;

-- How fast money is being spent, minute by minute.
CREATE OR REPLACE VIEW {database}.spend_rate AS
SELECT
    day, minute, environment, provider, model, team, feature,
    m.calls AS calls,
    m.cost_usd AS cost_usd,
    m.cost_usd * 60 AS usd_per_hour
FROM {database}.calls_by_minute AS m;

-- How much of the traffic has a price and an owner. '(none)' is what attribution writes where no rule named a team.
CREATE OR REPLACE VIEW {database}.coverage AS
SELECT
    day, hour,
    sum(h.calls) AS calls,
    sum(h.calls) - sum(h.unpriced_calls) AS priced_calls,
    sum(h.input_tokens + h.output_tokens) AS tokens,
    sum(h.input_tokens + h.output_tokens) - sum(h.unpriced_tokens) AS priced_tokens,
    sumIf(h.calls, h.team NOT IN ('', '(none)')) AS attributed_calls,
    sum(h.unknown_usage_calls) AS unknown_usage_calls,
    sumMap(map(h.status, h.calls)) AS calls_by_status,
    sumMapIf(map(h.reason, h.calls), h.reason != '') AS calls_by_reason
FROM {database}.calls_hourly AS h
GROUP BY day, hour;
