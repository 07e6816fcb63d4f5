-- What stands out. Open: seen within the last 30 minutes of the time range.
SELECT
    if(last_seen_at >= $__toTime - INTERVAL 30 MINUTE, 'open', 'over') AS state,
    toFloat64(last_seen_at >= $__toTime - INTERVAL 30 MINUTE) AS open,
    started_at,
    last_seen_at,
    concat(series_kind, ' ', series_key) AS what,
    arrayStringConcat(arrayMap(d -> replaceAll(d, '_', ' '), detectors), ', ') AS why,
    least(times_expected, 999) AS times_expected,
    peak_usd_per_hour,
    excess_usd,
    arrayStringConcat(arrayMap(s -> concat(s.1, ' ', s.2), folded), ', ') AS also,
    pick
FROM {{incidents}}
ORDER BY last_seen_at DESC, excess_usd DESC, id
LIMIT 100
