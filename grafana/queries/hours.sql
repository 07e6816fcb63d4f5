-- Cost by the hour, filtered, put in for the hours mark: from the hourly rollup, which knows no customers; where
-- customers are chosen, from the daily one for the days before the last, and call by call for that. A query puts its
-- own condition on `hour` around it.
(
    SELECT day, hour, cost_usd
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE $__conditionalAll(1 = 0, $customer)
    {{filters}}

    UNION ALL

    SELECT day, toDateTime(day, 'UTC') AS hour, cost_usd
    FROM llmcost.calls_daily
    WHERE NOT ($__conditionalAll(1 = 0, $customer))
    AND day < toDate($__toTime, 'UTC')
    {{filters}}

    UNION ALL

    SELECT toDate32(ts, 'UTC') AS day, toStartOfHour(ts, 'UTC') AS hour, c.cost_usd AS cost_usd
    FROM llmcost.calls AS c
    WHERE NOT ($__conditionalAll(1 = 0, $customer))
    AND ts >= toStartOfDay($__toTime, 'UTC') AND ts < toStartOfDay($__toTime, 'UTC') + INTERVAL 1 DAY
    {{filters}}
)
