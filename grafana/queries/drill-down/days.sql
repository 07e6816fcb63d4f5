-- The 14 days up to the one in which the time range ends. With a user chosen, from the totals by user, which know teams
-- and customers only; by the hour, where agents are chosen; else by the day.
SELECT
    day,
    toUnixTimestamp(toDateTime(day, 'UTC')) * 1000 AS from_ms,
    toUnixTimestamp(toDateTime(day, 'UTC') + INTERVAL 1 DAY) * 1000 - 1 AS to_ms,
    toFloat64(sum(d.cost_usd)) AS spend_usd,
    sum(d.calls) AS calls,
    sum(d.errors) / calls AS failed
FROM
(
    SELECT day, calls, errors, cost_usd
    FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
    WHERE {{all_users}} AND {{all_agents}}
    AND day > toDate($__toTime, 'UTC') - 14 AND day <= toDate($__toTime, 'UTC')
    {{filters}}

    UNION ALL

    SELECT day, calls, errors, cost_usd
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE {{all_users}} AND {{all_customers}} AND NOT ({{all_agents}})
    AND day > toDate($__toTime, 'UTC') - 14 AND day <= toDate($__toTime, 'UTC')
    {{filters}}

    UNION ALL

    SELECT day, calls, errors, cost_usd
    FROM {{owners}}
    WHERE NOT ({{all_users}}) AND {{only_owners}}
    AND day > toDate($__toTime, 'UTC') - 14 AND day <= toDate($__toTime, 'UTC')
    {{filters}}
    {{one_user}}
) AS d
GROUP BY day
ORDER BY day DESC
