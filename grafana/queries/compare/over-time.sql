-- USD per hour of both periods, at the times of the range.
SELECT bar AS time, now, before
FROM
(
SELECT
    toDateTime(intDiv(toUnixTimestamp(b.time), greatest($__interval_s, grain_s)) * greatest($__interval_s, grain_s), 'UTC')
        AS bar,
    toFloat64(sumIf(b.cost_usd, is_now)) * 3600 / any(greatest($__interval_s, grain_s)) AS now,
    toFloat64(sumIf(b.cost_usd, NOT is_now)) * 3600 / any(greatest($__interval_s, grain_s)) AS before
FROM {{both}} AS b
GROUP BY bar
)
ORDER BY time
