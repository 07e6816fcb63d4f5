-- The ledger: every version of every bill line, and `calls`, which shows each call once.

-- Two observers of one call (the wire and an SDK span, a retry, an import) write two rows with the same call_id;
-- the row with the highest `version` is the line.
--
-- ORDER BY (day, call_id): a merge takes rows with equal sorting keys for versions of one row, and so does FINAL. The
-- day comes first so that a question about some days reads only those: `ts` in a condition is enough, the primary key
-- prunes by it. Versions of a call may have times on both sides of midnight, for clocks differ. So the writer adds
-- `shadow` rows: where a line may have another version in a day next to its own (`skew_h` hours apart at most), a row
-- without content, with the same id and version, stands in that day too and hides the other version there
-- (docs/decisions/0014-days-and-shadows.md).
-- PARTITION BY month: what retention drops, and what a merge takes in at once.
--
-- EPHEMERAL columns are inserted and not stored. What is stored instead takes fewer bytes, and the view
-- current_versions gives them back as they were: a cost is rate × tokens + rest, buckets are what the token columns
-- tell, and words that go with a model lie in one dictionary (`facets`).
-- Money is NULL where the price is not known: unknown is never 0.
-- sharded by sipHash64(call_id)
CREATE TABLE IF NOT EXISTS {database}.call_versions
(
    call_id              FixedString(16) CODEC(NONE),
    version              UInt64 CODEC(T64('bit'), ZSTD(1)),
    -- the call that this row repeats: whatever is stored under this row's call_id is no line (docs/identity.md)
    duplicate_of         FixedString(16) CODEC(ZSTD(1)),
    ts                   DateTime64(9) CODEC(T64, ZSTD(1)),
    trace_id             FixedString(16) CODEC(ZSTD(1)),
    span_id              FixedString(8) CODEC(ZSTD(1)),
    -- these two serve disputes and traces of the last weeks, and are half of what a line takes: retention drops them
    parent_span_id       FixedString(8) CODEC(ZSTD(1)) TTL least(month, toDate('2100-01-01')) + toIntervalDay(66),
    source               LowCardinality(String) EPHEMERAL,
    emitter              LowCardinality(String) EPHEMERAL,
    service              LowCardinality(String) CODEC(ZSTD(3)),
    environment          LowCardinality(String) CODEC(ZSTD(3)),
    provider             LowCardinality(String) EPHEMERAL,
    host                 LowCardinality(String) EPHEMERAL,
    model                LowCardinality(String) EPHEMERAL,
    requested_model      LowCardinality(String) EPHEMERAL,
    operation            LowCardinality(String) EPHEMERAL,
    response_id          String CODEC(ZSTD(1)) TTL least(month, toDate('2100-01-01')) + toIntervalDay(66),
    streaming            UInt8 CODEC(T64, ZSTD(1)),
    outcome              LowCardinality(String) CODEC(ZSTD(3)),
    http_status          Nullable(UInt16) CODEC(T64, ZSTD(1)),
    error_type           LowCardinality(String) CODEC(ZSTD(3)),
    finish_reason        LowCardinality(String) CODEC(ZSTD(3)),
    attempt              UInt16 CODEC(T64, ZSTD(1)),
    service_tier         LowCardinality(String) EPHEMERAL,
    price_context        Map(LowCardinality(String), String) EPHEMERAL,
    team                 LowCardinality(String) CODEC(ZSTD(3)),
    feature              LowCardinality(String) CODEC(ZSTD(3)),
    customer             LowCardinality(String) CODEC(ZSTD(3)),
    user                 String CODEC(ZSTD(3)),
    agent                LowCardinality(String) CODEC(ZSTD(3)),
    workflow             LowCardinality(String) CODEC(ZSTD(3)),
    session              String CODEC(ZSTD(3)),
    run                  String CODEC(ZSTD(3)),
    tags                 Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    usage_known          UInt8 CODEC(T64, ZSTD(1)),
    usage_rule           LowCardinality(String) EPHEMERAL,
    usage_flags          Array(String) CODEC(ZSTD(1)),
    -- exclusive buckets, as counted: what a line is priced from again
    buckets              Map(LowCardinality(String), UInt64) EPHEMERAL,
    input_tokens         UInt64 CODEC(T64, ZSTD(1)),
    cache_read_tokens    UInt64 CODEC(T64, ZSTD(1)),
    cache_write_tokens   UInt64 CODEC(T64, ZSTD(1)),
    output_tokens        UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens     UInt64 CODEC(T64, ZSTD(1)),
    duration_ms          UInt32 CODEC(T64, ZSTD(1)),
    ttft_ms              Nullable(UInt32) EPHEMERAL,
    cost_usd             Nullable(Decimal(18, 12)) EPHEMERAL,
    list_cost_usd        Nullable(Decimal(18, 12)) EPHEMERAL,
    input_cost_usd       Nullable(Decimal(18, 12)) EPHEMERAL,
    output_cost_usd      Nullable(Decimal(18, 12)) EPHEMERAL,
    cache_read_cost_usd  Nullable(Decimal(18, 12)) EPHEMERAL,
    cache_write_cost_usd Nullable(Decimal(18, 12)) EPHEMERAL,
    other_cost_usd       Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    cache_savings_usd    Nullable(Decimal(18, 12)) EPHEMERAL,
    reported_cost_usd    Nullable(Decimal(18, 12)) CODEC(T64, ZSTD(1)),
    status               LowCardinality(String) CODEC(ZSTD(3)),
    reason               LowCardinality(String) CODEC(ZSTD(3)),
    price_id             LowCardinality(String) EPHEMERAL,
    price_book           LowCardinality(String) EPHEMERAL,
    -- 1: no line, but the mark in a neighbouring day of one that lies in its own; `ts` is the beginning of that day
    shadow               UInt8 DEFAULT 0 CODEC(T64, ZSTD(1)),
    -- how many hours apart the times of two versions of this call may be
    skew_h               UInt8 DEFAULT 1 CODEC(T64, ZSTD(1)),
    ingested_at          DateTime64(3) EPHEMERAL now64(3),

    -- what the engine makes of the ephemeral columns
    month                Date MATERIALIZED toStartOfMonth(toDate32(ts, 'UTC')) CODEC(ZSTD(1)),
    -- separated by tabs; a backslash in a word is \b, a tab \t
    facets               LowCardinality(String) DEFAULT arrayStringConcat(arrayMap(
                             word -> replaceAll(replaceAll(word, '\\', '\\b'), '\t', '\\t'), [
                                 provider, model, requested_model, host, operation, service_tier, price_id, price_book,
                                 source, emitter, usage_rule, if(empty(price_context), '', toJSONString(price_context))
                             ]), '\t') CODEC(ZSTD(3)),
    other_buckets        Map(LowCardinality(String), UInt64) DEFAULT if(
                             mapSort(buckets) = mapSort(mapFilter((bucket, count) -> count > 0, map(
                                 'input', toUInt64(input_tokens - cache_read_tokens - cache_write_tokens),
                                 'cache_read', cache_read_tokens,
                                 'cache_write', cache_write_tokens,
                                 'output', toUInt64(output_tokens - reasoning_tokens),
                                 'reasoning', reasoning_tokens
                             ))), map(), buckets) CODEC(ZSTD(1)),
    ttft_plus_1          UInt32 DEFAULT if(isNull(ttft_ms), 0, least(assumeNotNull(ttft_ms), 4294967294) + 1) CODEC(T64, ZSTD(1)),
    ingest_delay_s       Int64 DEFAULT if(shadow, 0, toUnixTimestamp64Second(ingested_at)
                             - toUnixTimestamp64Second(ts) - intDiv(duration_ms, 1000)) CODEC(T64, ZSTD(1)),
    -- 1e-12 USD per token where that divides without rest, else 0: of uncached input, output, cache reads and cache
    -- writes, and what caching saved per token read
    rates                LowCardinality(String) DEFAULT arrayStringConcat(arrayMap(
                             (pico_usd, tokens) ->
                                 toString(if(moduloOrZero(pico_usd, tokens) = 0, intDivOrZero(pico_usd, tokens), 0)),
                             arrayMap(usd -> reinterpretAsInt64(ifNull(usd, 0)), [
                                 input_cost_usd, output_cost_usd, cache_read_cost_usd, cache_write_cost_usd,
                                 cache_savings_usd
                             ]),
                             [
                                 toInt64(input_tokens - cache_read_tokens - cache_write_tokens), toInt64(output_tokens),
                                 toInt64(cache_read_tokens), toInt64(cache_write_tokens), toInt64(cache_read_tokens)
                             ]), ' ') CODEC(ZSTD(3)),
    -- amounts without rate × tokens
    input_cost_rest      Nullable(Decimal(18, 12)) DEFAULT input_cost_usd - {rated_input} CODEC(ZSTD(1)),
    output_cost_rest     Nullable(Decimal(18, 12)) DEFAULT output_cost_usd - {rated_output} CODEC(ZSTD(1)),
    cache_read_cost_rest Nullable(Decimal(18, 12)) DEFAULT cache_read_cost_usd - {rated_cache_read} CODEC(ZSTD(1)),
    cache_write_cost_rest Nullable(Decimal(18, 12)) DEFAULT cache_write_cost_usd - {rated_cache_write} CODEC(ZSTD(1)),
    cache_savings_rest   Nullable(Decimal(18, 12)) DEFAULT cache_savings_usd - {rated_cache_savings} CODEC(ZSTD(1)),
    cost_rest            Nullable(Decimal(18, 12)) DEFAULT cost_usd - {rated} CODEC(ZSTD(1)),
    list_cost_rest       Nullable(Decimal(18, 12)) DEFAULT list_cost_usd - ifNull(cost_usd, 0) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY month
ORDER BY (month, toDate32(ts, 'UTC'), call_id)
-- A batch that is sent again after a lost answer carries the same insert_deduplication_token. A plain MergeTree
-- remembers tokens only where this window is set.
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- The newest version of each call, in the columns that an insert into call_versions takes, ids in bytes. Rows that
-- repeat another call are in it, with the call they repeat in duplicate_of.
CREATE OR REPLACE VIEW {database}.current_versions AS
SELECT
    v.call_id AS call_id, v.version AS version, v.duplicate_of AS duplicate_of, v.ts AS ts,
    v.trace_id AS trace_id, v.span_id AS span_id, v.parent_span_id AS parent_span_id,
    {source} AS source,
    {emitter} AS emitter,
    v.service AS service, v.environment AS environment,
    {provider} AS provider,
    {host} AS host,
    {model} AS model,
    {requested_model} AS requested_model,
    {operation} AS operation,
    v.response_id AS response_id, v.streaming AS streaming, v.outcome AS outcome, v.http_status AS http_status,
    v.error_type AS error_type, v.finish_reason AS finish_reason, v.attempt AS attempt,
    {service_tier} AS service_tier,
    CAST(JSONExtract(
        toString({price_context}),
        'Map(String, String)'), 'Map(LowCardinality(String), String)') AS price_context,
    v.team AS team, v.feature AS feature, v.customer AS customer, v.user AS user, v.agent AS agent,
    v.workflow AS workflow, v.session AS session, v.run AS run, v.tags AS tags,
    v.usage_known AS usage_known,
    {usage_rule} AS usage_rule,
    v.usage_flags AS usage_flags,
    if(notEmpty(v.other_buckets), v.other_buckets, CAST(mapFilter((bucket, count) -> count > 0, map(
        'input', toUInt64(v.input_tokens - v.cache_read_tokens - v.cache_write_tokens),
        'cache_read', v.cache_read_tokens,
        'cache_write', v.cache_write_tokens,
        'output', toUInt64(v.output_tokens - v.reasoning_tokens),
        'reasoning', v.reasoning_tokens
    )), 'Map(LowCardinality(String), UInt64)')) AS buckets,
    v.input_tokens AS input_tokens, v.cache_read_tokens AS cache_read_tokens,
    v.cache_write_tokens AS cache_write_tokens, v.output_tokens AS output_tokens,
    v.reasoning_tokens AS reasoning_tokens, v.duration_ms AS duration_ms,
    if(v.ttft_plus_1 = 0, NULL, toUInt32(v.ttft_plus_1 - 1)) AS ttft_ms,
    {cost_usd} AS cost_usd,
    {list_cost_usd} AS list_cost_usd,
    {input_cost_usd} AS input_cost_usd,
    {output_cost_usd} AS output_cost_usd,
    {cache_read_cost_usd} AS cache_read_cost_usd,
    {cache_write_cost_usd} AS cache_write_cost_usd,
    v.other_cost_usd AS other_cost_usd,
    {cache_savings_usd} AS cache_savings_usd,
    v.reported_cost_usd AS reported_cost_usd,
    v.status AS status, v.reason AS reason,
    {price_id} AS price_id,
    {price_book} AS price_book,
    v.skew_h AS skew_h,
    toDateTime64(fromUnixTimestamp64Second(
        toUnixTimestamp64Second(v.ts) + intDiv(v.duration_ms, 1000) + v.ingest_delay_s), 3) AS ingested_at
FROM {database}.call_versions AS v FINAL
WHERE v.shadow = 0;

-- One row per call at all times, also before parts are merged. Ids are lower-case hex, as in otel_traces; '' is none.
-- A run that nothing names is its trace.
CREATE OR REPLACE VIEW {database}.calls AS
SELECT
    ts,
    lower(hex(v.call_id)) AS call_id,
    if(v.trace_id = toFixedString('', 16), '', lower(hex(v.trace_id))) AS trace_id,
    if(v.span_id = toFixedString('', 8), '', lower(hex(v.span_id))) AS span_id,
    if(v.parent_span_id = toFixedString('', 8), '', lower(hex(v.parent_span_id))) AS parent_span_id,
    if(v.run = '', trace_id, v.run) AS run,
    * EXCEPT (ts, call_id, trace_id, span_id, parent_span_id, run, duplicate_of, skew_h)
FROM {database}.current_versions AS v
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
FROM {database}.current_versions AS v
WHERE v.duplicate_of != toFixedString('', 16);
