-- Restating: stored usage priced again with another book. The new amounts are new versions in call_versions; here is
-- who did it and why, and what each line cost before (docs/restating.md).

CREATE TABLE IF NOT EXISTS {database}.restatements
(
    id            UInt32,
    state         LowCardinality(String), -- 'started' or 'finished'
    arguments     String, -- JSON, the same again continues a run that was cut off
    book          String, -- version in price_books
    who           String,
    why           String,
    started_at    DateTime64(3),
    finished_at   Nullable(DateTime64(3)),
    lines         UInt64, -- looked at
    changed       UInt64,
    old_cost_usd  Nullable(Decimal(38, 12)), -- of the changed lines
    new_cost_usd  Nullable(Decimal(38, 12)),
    written_at    UInt64 -- ns, the newest row of a run is its state
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY id;

-- How far a run is: every line up to and including this place, its day and id, is done.
CREATE TABLE IF NOT EXISTS {database}.restatement_chunks
(
    restatement UInt32,
    place       FixedString(20),
    lines       UInt64,
    changed     UInt64,
    unreadable  UInt64,
    done_at     DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (restatement, place);

-- One row per restated line: all that it was before, for a merge of call_versions drops versions that are not the
-- newest. NULL is not known, as in `calls`; delta_usd takes it as nothing.
CREATE TABLE IF NOT EXISTS {database}.adjustments
(
    restatement              UInt32 CODEC(T64, ZSTD(1)),
    call_id                  FixedString(16) CODEC(NONE),
    day                      Date CODEC(T64, ZSTD(1)),
    environment              LowCardinality(String),
    provider                 LowCardinality(String),
    model                    LowCardinality(String),
    team                     LowCardinality(String),
    feature                  LowCardinality(String),
    customer                 LowCardinality(String),
    old_version              UInt64 CODEC(ZSTD(1)),
    old_cost_usd             Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_list_cost_usd        Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_input_cost_usd       Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_output_cost_usd      Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_cache_read_cost_usd  Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_cache_write_cost_usd Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_other_cost_usd       Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_cache_savings_usd    Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    old_status               LowCardinality(String),
    old_reason               LowCardinality(String),
    old_price_id             LowCardinality(String),
    old_price_book           LowCardinality(String),
    cost_usd                 Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    status                   LowCardinality(String),
    delta_usd                Decimal(18, 12) ALIAS ifNull(cost_usd, toDecimal64(0, 12)) - ifNull(old_cost_usd, toDecimal64(0, 12))
)
ENGINE = ReplacingMergeTree
ORDER BY (restatement, call_id);

-- What a restatement did to whose bill. Sums of money skip lines without a price and are NULL where none has one.
CREATE OR REPLACE VIEW {database}.restated AS
SELECT
    restatement, day, environment, provider, model, team, feature, customer,
    count() AS calls,
    countIf(a.old_cost_usd IS NULL) AS old_unpriced_calls,
    countIf(a.cost_usd IS NULL) AS unpriced_calls,
    sum(a.old_cost_usd) AS old_cost_usd,
    sum(a.cost_usd) AS cost_usd,
    sum(a.delta_usd) AS delta_usd
FROM {database}.adjustments AS a FINAL
GROUP BY restatement, day, environment, provider, model, team, feature, customer;
