-- The bill lines of the time range, filtered, put in for the lines mark, from what is finest and still fast:
--   up to 6 hours       call by call, exact to the second
--   up to 7 days        by the minute; the first minute of the range counts in full
--   longer              by the hour; the first hour counts in full
-- The minutes and hours know no customers. Where customers are chosen it is call by call up to 7 days, and by the day
-- where it is longer. The conditions on the length and on the choice are constants: of four tables one is read.
-- `bucket` is the bar of a chart that a line falls into, no shorter than what is read; `covered_s` is how much of that
-- bar the range covers, but half a bar at least: one call in the first seconds of a new bar is no rate.
(
    SELECT
        greatest($__interval_s, grain_s) AS bar_s,
        toDateTime(intDiv(toUnixTimestamp(began), bar_s) * bar_s, 'UTC') AS bucket,
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
        calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
    FROM
    (
        SELECT
            toDateTime(ts, 'UTC') AS began,
            1 AS grain_s,
            provider, model, team,
            toUInt64(1) AS calls,
            toUInt64(outcome = 'error') AS errors,
            toUInt64(c.cost_usd IS NULL) AS unpriced_calls,
            input_tokens + output_tokens AS tokens,
            if(c.cost_usd IS NULL, tokens, 0) AS unpriced_tokens,
            c.cost_usd AS cost_usd,
            c.cache_savings_usd AS cache_savings_usd
        FROM llmcost.calls AS c
        WHERE dateDiff('second', $__fromTime, $__toTime) <= if($__conditionalAll(1 = 0, $customer), 21600, 604800)
        AND $__timeFilter(ts)
        {{filters}}

        UNION ALL

        SELECT
            minute AS began, 60 AS grain_s, provider, model, team,
            calls, errors, unpriced_calls, tokens, unpriced_tokens, cost_usd, cache_savings_usd
        FROM (SELECT *, '' AS customer FROM llmcost.calls_by_minute)
        WHERE $__conditionalAll(1 = 0, $customer)
        AND dateDiff('second', $__fromTime, $__toTime) > 21600
        AND dateDiff('second', $__fromTime, $__toTime) <= 604800
        AND day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
        AND minute >= toStartOfMinute($__fromTime, 'UTC') AND minute <= $__toTime
        {{filters}}

        UNION ALL

        SELECT
            hour AS began, 3600 AS grain_s, provider, model, team,
            calls, errors, unpriced_calls, input_tokens + output_tokens AS tokens, unpriced_tokens, cost_usd,
            cache_savings_usd
        FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
        WHERE $__conditionalAll(1 = 0, $customer)
        AND dateDiff('second', $__fromTime, $__toTime) > 604800
        AND day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
        AND hour >= toStartOfHour($__fromTime, 'UTC') AND hour <= $__toTime
        {{filters}}

        UNION ALL

        SELECT
            toDateTime(day, 'UTC') AS began, 86400 AS grain_s, provider, model, team,
            calls, errors, unpriced_calls, input_tokens + output_tokens AS tokens, unpriced_tokens, cost_usd,
            cache_savings_usd
        FROM llmcost.calls_daily
        WHERE NOT ($__conditionalAll(1 = 0, $customer))
        AND dateDiff('second', $__fromTime, $__toTime) > 604800
        AND day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
        {{filters}}
    ) AS l
)
