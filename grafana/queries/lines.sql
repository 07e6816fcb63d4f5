-- The bill lines of the time range, filtered, put in for the lines mark. Up to 7 days: call by call, exact to the
-- second. Longer: the hourly rollup, where the first hour of the range counts in full. The condition on the length is
-- a constant, so of two tables one is not read; a rollup that is a plain view is computed all the same.
-- `bucket` is the bar of a chart that a line falls into; `covered_s` is how much of that bar the range covers, but half
-- a bar at least: one call in the first seconds of a new bar is no rate. A bar of the rollup is never under an hour.
(
    SELECT
        $__timeInterval(ts) AS bucket,
        greatest(
            intDiv($__interval_s + 1, 2),
            dateDiff('second', greatest(bucket, $__fromTime), least(bucket + $__interval_s, $__toTime))
        ) AS covered_s,
        if(c.provider = '', '(none)', c.provider) AS provider,
        if(c.model = '', '(none)', c.model) AS model,
        if(c.team = '', '(none)', c.team) AS team,
        toUInt64(1) AS calls,
        toUInt64(outcome = 'error') AS errors,
        toUInt64(c.cost_usd IS NULL) AS unpriced_calls,
        input_tokens + output_tokens AS tokens,
        if(c.cost_usd IS NULL, tokens, 0) AS unpriced_tokens,
        c.cost_usd AS cost_usd,
        c.cache_savings_usd AS cache_savings_usd
    FROM llmcost.calls AS c
    WHERE dateDiff('second', $__fromTime, $__toTime) <= 604800
    AND $__timeFilter(ts)
    {{filters}}

    UNION ALL

    SELECT
        toStartOfInterval(hour, toIntervalSecond(greatest($__interval_s, 3600))) AS bucket,
        greatest(
            intDiv(greatest($__interval_s, 3600), 2),
            dateDiff(
                'second',
                greatest(bucket, toStartOfHour($__fromTime, 'UTC')),
                least(bucket + greatest($__interval_s, 3600), $__toTime)
            )
        ) AS covered_s,
        if(h.provider = '', '(none)', h.provider) AS provider,
        if(h.model = '', '(none)', h.model) AS model,
        if(h.team = '', '(none)', h.team) AS team,
        h.calls AS calls,
        h.errors AS errors,
        h.unpriced_calls AS unpriced_calls,
        h.input_tokens + h.output_tokens AS tokens,
        if(h.status = 'unpriced', tokens, 0) AS unpriced_tokens,
        h.cost_usd AS cost_usd,
        h.cache_savings_usd AS cache_savings_usd
    FROM llmcost.calls_hourly AS h
    WHERE dateDiff('second', $__fromTime, $__toTime) > 604800
    AND hour >= toStartOfHour($__fromTime, 'UTC')
    AND hour <= $__toTime
    {{filters}}
)
