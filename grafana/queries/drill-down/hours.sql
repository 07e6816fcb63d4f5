-- The hours of the UTC day in which the time range ends; call by call where customers or users are chosen.
SELECT
    hour,
    toUnixTimestamp(hour) * 1000 AS from_ms,
    toUnixTimestamp(hour + INTERVAL 1 HOUR) * 1000 - 1 AS to_ms,
    toFloat64(sum(h.cost_usd)) AS spend_usd,
    sum(h.calls) AS calls,
    sum(h.errors) / calls AS failed
FROM
(
    SELECT hour, calls, errors, cost_usd
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE {{all_customers}} AND {{all_users}}
    AND day = toDate($__toTime, 'UTC')
    {{filters}}

    UNION ALL

    SELECT toStartOfHour(ts, 'UTC') AS hour, toUInt64(1) AS calls, toUInt64(outcome = 'error') AS errors,
        c.cost_usd AS cost_usd
    FROM llmcost.calls AS c
    WHERE NOT ({{all_customers}} AND {{all_users}})
    AND ts >= toStartOfDay($__toTime, 'UTC') AND ts < toStartOfDay($__toTime, 'UTC') + INTERVAL 1 DAY
    {{filters}}
    {{one_user}}
) AS h
GROUP BY hour
ORDER BY hour DESC
