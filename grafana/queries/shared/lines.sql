-- Money of the time range, filtered, for charts: from what is finest and still fast.
--   up to 6 hours   call by call, exact to the second; up to a day where customers are chosen
--   up to 2 days    by the minute; the first minute counts in full
--   longer          by the hour; the first hour counts in full. Minutes know no services and agents: where those are
--                   chosen, hours are read from 6 hours on
--   customers       beyond a day by the day
-- The conditions on the length and on what is chosen are constants: of four tables one is read.
-- `covered_s` is how much of a bar the range covers, but half a bar at least: one call in the first seconds of a new bar
-- is no rate.
(
    SELECT
        {{bars}},
        greatest(
            intDiv(bar_s + 1, 2),
            dateDiff(
                'second',
                greatest(bucket, toDateTime(intDiv(toUnixTimestamp($__fromTime), grain_s) * grain_s, 'UTC')),
                least(bucket + bar_s, $__toTime)
            )
        ) AS covered_s,
        if(l.provider = '', '(none)', l.provider) AS provider,
        if(l.model = '', '(none)', l.model) AS model,
        if(l.team = '', '(none)', l.team) AS team,
        if(l.feature = '', '(none)', l.feature) AS feature,
        calls, errors, cost_usd
    FROM
    (
        SELECT
            toDateTime(ts, 'UTC') AS began, 1 AS grain_s,
            provider, model, team, feature,
            toUInt64(1) AS calls, toUInt64(outcome = 'error') AS errors, c.cost_usd AS cost_usd
        FROM llmcost.calls AS c
        WHERE {{call_by_call}}
        AND $__timeFilter(ts)
        {{filters}}

        UNION ALL

        SELECT minute AS began, 60 AS grain_s, provider, model, team, feature, calls, errors, cost_usd
        FROM (SELECT *, '' AS customer, '' AS service, '' AS agent, '' AS workflow FROM llmcost.calls_by_minute)
        WHERE {{all_customers}} AND {{all_services}} AND {{all_agents}}
        AND {{range_s}} > 21600 AND {{range_s}} <= 172800
        AND {{in_days}} AND minute >= toStartOfMinute($__fromTime, 'UTC') AND minute <= $__toTime
        {{filters}}

        UNION ALL

        SELECT hour AS began, 3600 AS grain_s, provider, model, team, feature, calls, errors, cost_usd
        FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
        WHERE {{all_customers}}
        AND {{range_s}} > if({{all_services}} AND {{all_agents}}, 172800, 21600)
        AND {{in_hours}}
        {{filters}}

        UNION ALL

        SELECT toDateTime(day, 'UTC') AS began, 86400 AS grain_s, provider, model, team, feature, calls, errors, cost_usd
        FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
        WHERE {{by_day}}
        AND {{in_days}}
        {{filters}}
    ) AS l
)
