-- The anomalies of the time range, dearest first.
SELECT
    replaceAll(pick, '\\', '\\\\') AS value,
    concat(formatDateTime(started_at, '%d.%m. %H:%i', 'UTC'), ' ', series_kind, ' ', series_key) AS text
FROM {{incidents}}
ORDER BY excess_usd DESC, started_at DESC, id
LIMIT 200
