-- Who sent lines in the last 6 hours of the range.
SELECT
    service, source, emitter,
    count() AS landed,
    toDateTime(max(ended_at), 'UTC') AS last_call,
    quantileExact(0.95)(lag_ms) / 1000 AS lag_p95_s
FROM {{landed}}
GROUP BY service, source, emitter
ORDER BY landed DESC, service, source, emitter
LIMIT 100
