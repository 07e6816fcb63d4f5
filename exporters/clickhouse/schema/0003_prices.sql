-- Which prices lines were made with: every book that a writer or a restatement used, once.

-- `document` is the whole book (data and overlays); `otel-llmcost restate --book VERSION` prices with it again, to the
-- last digit. Its rows below are for reading.
CREATE TABLE IF NOT EXISTS {database}.price_books
(
    version      String,
    data_version String,
    overlays     String, -- their version, '' is none
    document     String CODEC(ZSTD(9)),
    archived_at  DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY version;

-- Prices of the data of a book, without overlays. A price holds from valid_from until the day valid_to, for calls with
-- more input than above_input_tokens, in a context ('' is any other), within `daily` (UTC) where that is set.
-- Rounded at 1e-24; the document has all digits.
CREATE TABLE IF NOT EXISTS {database}.prices
(
    book               LowCardinality(String),
    provider           LowCardinality(String),
    model              LowCardinality(String),
    bucket             LowCardinality(String),
    context            LowCardinality(String),
    valid_from         Date, -- 1970-01-01: always
    valid_to           Date DEFAULT '2149-06-06', -- that day: open
    daily              LowCardinality(String),
    above_input_tokens UInt64 CODEC(T64, ZSTD(1)),
    usd_per_unit       Decimal(38, 24) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (book, provider, model, bucket, context, valid_from, daily, above_input_tokens);
