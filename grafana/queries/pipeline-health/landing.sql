-- How fresh the ledger is: of calls of the last hour of the range.
SELECT
    if(count() = 0, NULL, greatest(0, dateDiff('second', toDateTime(max(ended_at), 'UTC'), $__toTime))) AS silent_s,
    if(count() = 0, NULL, quantileExact(0.5)(lag_ms) / 1000) AS lag_p50_s,
    if(count() = 0, NULL, quantileExact(0.95)(lag_ms) / 1000) AS lag_p95_s,
    count() AS landed
FROM {{landed}}
