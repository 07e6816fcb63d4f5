-- Spend of the month, plus the rest of the month at the rate of the last 7 days; of the time since the first call,
-- but an hour at least, where there is less than 7 days. A forecast, so a float. No row: nothing with a price yet.
WITH
    toDateTime(toStartOfMonth($__toTime, 'UTC'), 'UTC') AS month_start,
    toStartOfHour($__toTime - INTERVAL 7 DAY, 'UTC') AS recent_start,
    sumIf(cost_usd, hour >= month_start) AS month_usd,
    sumIf(cost_usd, hour >= recent_start) AS recent_usd,
    greatest(3600, dateDiff('second', greatest(recent_start, min(hour)), $__toTime)) AS recent_s,
    dateDiff('second', $__toTime, month_start + INTERVAL 1 MONTH) AS remaining_s
SELECT
    toFloat64(ifNull(month_usd, 0)) + toFloat64(ifNull(recent_usd, 0)) / recent_s * remaining_s AS projected_usd
FROM {{hours}}
WHERE day >= toDate(least(month_start, recent_start), 'UTC') AND day <= toDate($__toTime, 'UTC')
AND hour >= least(month_start, recent_start)
AND hour <= $__toTime
HAVING count(cost_usd) > 0
