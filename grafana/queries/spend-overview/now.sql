-- What is being spent: the last 60 minutes and today call by call, the month by whole hours, and the month's end as the
-- month so far plus the rest of it at the rate of the last 7 days (of the time since the first call, but an hour at
-- least, where there is less). NULL: nothing with a price. A forecast, so a float.
WITH
    toDateTime(toStartOfMonth($__toTime, 'UTC'), 'UTC') AS month_start,
    toStartOfHour($__toTime - INTERVAL 7 DAY, 'UTC') AS recent_start,
    dateDiff('second', $__toTime, month_start + INTERVAL 1 MONTH) AS remaining_s
SELECT
    toFloat64(recent.hour_usd) AS usd_per_hour,
    toFloat64(recent.today_usd) AS today_usd,
    toFloat64(so_far.month_usd) AS month_usd,
    if(so_far.any_usd = 0, NULL,
        toFloat64(ifNull(so_far.month_usd, 0)) + toFloat64(ifNull(so_far.recent_usd, 0)) / so_far.recent_s * remaining_s)
        AS projected_usd
FROM
(
    SELECT
        sumIf(c.cost_usd, ts > $__toTime - INTERVAL 1 HOUR) AS hour_usd,
        sumIf(c.cost_usd, ts >= toStartOfDay($__toTime, 'UTC')) AS today_usd
    FROM llmcost.calls AS c
    WHERE ts >= least(toStartOfDay($__toTime, 'UTC'), $__toTime - INTERVAL 1 HOUR)
    AND ts <= $__toTime
    {{filters}}
) AS recent
CROSS JOIN
(
    SELECT
        sumIf(h.cost_usd, hour >= month_start) AS month_usd,
        sumIf(h.cost_usd, hour >= recent_start) AS recent_usd,
        greatest(3600, dateDiff('second', greatest(recent_start, min(hour)), $__toTime)) AS recent_s,
        count(h.cost_usd) AS any_usd
    FROM {{hours}} AS h
    WHERE day >= toDate(least(month_start, recent_start), 'UTC') AND day <= toDate($__toTime, 'UTC')
    AND hour >= least(month_start, recent_start)
    AND hour <= $__toTime
) AS so_far
