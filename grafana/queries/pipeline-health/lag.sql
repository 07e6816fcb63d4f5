-- From the end of a call to its line, bar by bar, over the last 6 hours of the range.
SELECT
    toDateTime(intDiv(toUnixTimestamp(toDateTime(ts, 'UTC')), greatest($__interval_s, 60)) * greatest($__interval_s, 60), 'UTC')
        AS time,
    quantileExact(0.5)(lag_ms) / 1000 AS median,
    quantileExact(0.95)(lag_ms) / 1000 AS `95 %`,
    max(lag_ms) / 1000 AS slowest
FROM {{landed}}
GROUP BY time
ORDER BY time
