-- What `otel-llmcost ledger copy` brought into this ledger. A chunk is copied again only where its fingerprint at the
-- source is another one by now.
CREATE TABLE IF NOT EXISTS {database}.copied_chunks
(
    source      String, -- address of the other ledger, without credentials
    name        LowCardinality(String), -- of the table
    chunk       String,
    fingerprint String,
    lines       UInt64,
    copied_at   DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(copied_at)
ORDER BY (source, name, chunk);
