-- What detection reads beside single calls: two inputs with fixed columns, of the minutes from `start` until `until`. As
-- views over `calls` they are exact and need nothing else; a ledger with rollups by minute may put faster ones of the
-- same name, parameters and columns in their place. Parameters, because a condition on `minute` would not reach `ts`,
-- and all calls would be read.

-- One row per series and minute. A series is a value of one dimension ('total' has the key ''); a dimension that nobody
-- set is no series. `max_call_usd` is the dearest call of the minute: one dear call is told from many.
CREATE OR REPLACE VIEW {database}.series_minute AS
SELECT
    series.1 AS series_kind,
    series.2 AS series_key,
    toStartOfMinute(c.ts, 'UTC') AS minute,
    count() AS calls,
    countIf(c.outcome = 'error') AS errors,
    countIf(c.attempt > 1) AS retries,
    uniqExactIf(c.session, c.session != '') AS conversations,
    toFloat64(ifNull(sum(c.cost_usd), 0)) AS cost_usd,
    toFloat64(ifNull(max(c.cost_usd), 0)) AS max_call_usd,
    sum(c.input_tokens) AS input_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens
FROM {database}.calls AS c
ARRAY JOIN {{kinds}} AS series
WHERE c.ts >= {start:DateTime('UTC')} AND c.ts < {until:DateTime('UTC')} AND (series.1 = 'total' OR series.2 != '')
GROUP BY series_kind, series_key, minute;

-- What two series have in common: read only for series that signal, to tell which of them is the cause.
CREATE OR REPLACE VIEW {database}.series_shared AS
SELECT
    series.1 AS series_kind,
    series.2 AS series_key,
    other.1 AS other_kind,
    other.2 AS other_key,
    toStartOfMinute(c.ts, 'UTC') AS minute,
    toFloat64(ifNull(sum(c.cost_usd), 0)) AS cost_usd
FROM {database}.calls AS c
ARRAY JOIN {{kinds}} AS series
ARRAY JOIN {{kinds}} AS other
WHERE c.ts >= {start:DateTime('UTC')} AND c.ts < {until:DateTime('UTC')}
AND (series.1 = 'total' OR series.2 != '') AND (other.1 = 'total' OR other.2 != '') AND series != other
GROUP BY series_kind, series_key, other_kind, other_key, minute;
