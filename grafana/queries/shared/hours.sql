-- Cost by the hour, filtered: from the hourly totals, which know no customers; where customers are chosen, from the daily
-- ones for the days before the last, and call by call for that. Nothing where customers and agents are chosen: no total
-- knows both. A query puts its own condition on `day` and `hour` around it.
(
    SELECT day, hour, cost_usd
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE {{all_customers}}
    {{filters}}

    UNION ALL

    SELECT day, toDateTime(day, 'UTC') AS hour, cost_usd
    FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
    WHERE NOT ({{all_customers}}) AND {{all_agents}}
    AND day < toDate($__toTime, 'UTC')
    {{filters}}

    UNION ALL

    SELECT toDate32(ts, 'UTC') AS day, toStartOfHour(ts, 'UTC') AS hour, c.cost_usd AS cost_usd
    FROM llmcost.calls AS c
    WHERE NOT ({{all_customers}}) AND {{all_agents}}
    AND ts >= toStartOfDay($__toTime, 'UTC') AND ts < toStartOfDay($__toTime, 'UTC') + INTERVAL 1 DAY
    {{filters}}
)
