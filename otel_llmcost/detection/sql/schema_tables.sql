-- What detection remembers. Everything here follows from series_minute: drop it, and `refresh` fills it again.

-- One row per series and hour. sq1 and sq5 are the sums of squares of the cost of each 1 and 5 minutes, calls_sq1, 5 and 15
-- those of the calls: how bursty the series is at that width.
CREATE TABLE IF NOT EXISTS {database}.series_hour
(
    series_kind       LowCardinality(String),
    series_key        String,
    hour              DateTime('UTC'),
    calls             UInt64,
    errors            UInt64,
    retries           UInt64,
    cost_usd          Float64,
    max_call_usd      Float64,
    sq1               Float64,
    sq5               Float64,
    quarters_usd      Array(Float64),   -- cost of each 15 minutes
    input_tokens      UInt64,
    output_tokens     UInt64,
    cache_read_tokens UInt64,
    calls_sq1         Float64,          -- 0: remembered before there was such a column
    calls_sq5         Float64,
    calls_sq15        Float64,
    version           DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(hour)
ORDER BY (series_kind, series_key, hour);
ALTER TABLE {database}.series_hour
    ADD COLUMN IF NOT EXISTS calls_sq1 Float64, ADD COLUMN IF NOT EXISTS calls_sq5 Float64,
    ADD COLUMN IF NOT EXISTS calls_sq15 Float64;

-- What a series is expected to cost in an hour, said before the hour began.
CREATE TABLE IF NOT EXISTS {database}.series_expected
(
    series_kind    LowCardinality(String),
    series_key     String,
    hour           DateTime('UTC'),
    first_hour     DateTime('UTC'),   -- seen since
    days_known     UInt16,            -- days of the same kind (weekday, weekend) that the hour is judged by
    seasonal_usd   Float64,           -- of the whole hour: what this hour of such a day costs
    quarters       Array(Float64),    -- of it in each 15 minutes, as a multiple of a quarter
    level          Float64,           -- what the last day cost, as a multiple of what it was expected to
    spread1        Float64,           -- relative error of the expectation, over 1, 6 and 24 hours
    spread6        Float64,
    spread24       Float64,
    burst1_usd     Float64,           -- size of the lumps that cost comes in, at 1, 5 and 15 minutes
    burst5_usd     Float64,
    burst15_usd    Float64,
    usual_call_usd Float64,
    max_call_usd   Float64,
    hour_call_usd  Float64,           -- what a call costs at this hour of the day; 0: not known
    calls_burst1   Float64,           -- size of the lumps that calls come in, at 1, 5 and 15 minutes
    calls_burst5   Float64,
    calls_burst15  Float64,
    version        DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(hour)
ORDER BY (hour, series_kind, series_key);
ALTER TABLE {database}.series_expected
    ADD COLUMN IF NOT EXISTS hour_call_usd Float64, ADD COLUMN IF NOT EXISTS calls_burst1 Float64,
    ADD COLUMN IF NOT EXISTS calls_burst5 Float64, ADD COLUMN IF NOT EXISTS calls_burst15 Float64;

-- What a ratio of a series (cost per token, share of cached tokens, …) usually is.
CREATE TABLE IF NOT EXISTS {database}.series_usual
(
    series_kind LowCardinality(String),
    series_key  String,
    hour        DateTime('UTC'),
    measure     LowCardinality(String),
    usual       Float64,   -- median of its hours of the last week
    lately      Float64,   -- median of its hours of the last day
    hourly      Float64,   -- median of the same hour, or of the one before it, in the last week
    spread      Float64,   -- of the hours, in natural logarithms
    hour_calls  Float64,   -- calls of the median hour
    hours_known UInt16,
    extreme     Float64,          -- the hour of the last week that was furthest from usual, in natural logarithms; 0: not known
    prices      Array(Float64),   -- of cost_per_token: USD per uncached, cached and output token, and per call without tokens
    version     DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(hour)
ORDER BY (hour, series_kind, series_key, measure);
ALTER TABLE {database}.series_usual ADD COLUMN IF NOT EXISTS extreme Float64,
    ADD COLUMN IF NOT EXISTS prices Array(Float64);

-- What the detectors said, one row per hour, series and detector: a flood of minutes stays small, and saying a thing
-- twice changes nothing.
CREATE TABLE IF NOT EXISTS {database}.anomaly_signals
(
    hour             DateTime('UTC'),
    series_kind      LowCardinality(String),
    series_key       String,
    detector         LowCardinality(String),
    direction        LowCardinality(String),                       -- rise, drop
    first_minute     SimpleAggregateFunction(min, DateTime('UTC')),
    last_minute      SimpleAggregateFunction(max, DateTime('UTC')),
    window_minutes   SimpleAggregateFunction(min, UInt32),
    z                SimpleAggregateFunction(max, Float64),        -- how improbable, in standard deviations
    ratio            SimpleAggregateFunction(max, Float64),        -- actual / expected
    actual_usd       SimpleAggregateFunction(max, Float64),        -- of the hour, or of the window where that is longer
    expected_usd     SimpleAggregateFunction(max, Float64),
    excess_usd       SimpleAggregateFunction(max, Float64)
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, series_kind, series_key, detector, direction);

-- What signalling series had in common in that hour.
CREATE TABLE IF NOT EXISTS {database}.anomaly_links
(
    hour        DateTime('UTC'),
    series_kind LowCardinality(String),
    series_key  String,
    other_kind  LowCardinality(String),
    other_key   String,
    direction   LowCardinality(String),
    cost_usd    SimpleAggregateFunction(max, Float64),
    share       SimpleAggregateFunction(max, Float64)              -- of the cost of the series
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, series_kind, series_key, other_kind, other_key, direction);

-- Thresholds that somebody set: INSERT INTO detection_overrides (name, value) VALUES ('min_z', 7). The newest counts.
CREATE TABLE IF NOT EXISTS {database}.detection_overrides
(
    name   LowCardinality(String),
    value  Float64,
    set_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(set_at)
ORDER BY name;
