-- Anomalies that were seen in the time range, as detection judged them: one row per cause (docs/anomalies.md).
SELECT
    id AS anomaly,
    if(series_key = '', series_kind, concat(series_kind, '=', series_key)) AS series,
    toString(direction) AS direction,
    ifNotFinite(times_expected, 0) AS times_expected
FROM llmcost.anomalies
WHERE last_seen_at >= $__fromTime AND started_at <= $__toTime
ORDER BY anomaly
