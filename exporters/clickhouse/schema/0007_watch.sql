-- What `otel-llmcost watch` remembers (docs/alerts.md): which alerts fire, and what is still to be told to whom. The newest
-- document of a name counts.
CREATE TABLE IF NOT EXISTS {database}.watch_states
(
    name       String,
    document   String CODEC(ZSTD(3)), -- JSON
    written_at DateTime64(6) DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY name;

-- Who watches: of those that are alive, the one that began first.
CREATE TABLE IF NOT EXISTS {database}.watchers
(
    name       String,
    id         String,
    started_at DateTime64(6),
    gone       Bool,
    seen_at    DateTime64(6) DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(seen_at)
ORDER BY (name, id);

-- Windows in which an alert is known, and nobody is told. `labels`: those that an alert must have, {} is any.
CREATE TABLE IF NOT EXISTS {database}.alert_acknowledgements
(
    alert     LowCardinality(String), -- the rule's uid
    labels    Map(String, String),
    starts_at DateTime('UTC'),
    ends_at   DateTime('UTC'),
    who       String,
    why       String,
    made_at   DateTime64(6) DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree
ORDER BY (made_at, alert, who);
