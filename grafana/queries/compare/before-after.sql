-- The time range before and after the moment of a change. Per hour of each side.
SELECT
    if(began < {{split}}, 'before', 'after') AS side,
    greatest(1, if(side = 'before',
        dateDiff('second', $__fromTime, least($__toTime, {{split}})),
        dateDiff('second', greatest($__fromTime, {{split}}), $__toTime))) / 3600 AS hours,
    toFloat64(sum(t.cost_usd)) / hours AS usd_per_hour,
    sum(t.calls) / hours AS calls_per_hour,
    toFloat64(sum(t.cost_usd)) / sum(t.calls) AS usd_per_call,
    sum(t.input_tokens) / sum(t.calls) AS input_per_call,
    sum(t.output_tokens) / sum(t.calls) AS output_per_call,
    if(sum(t.input_tokens) = 0, NULL, sum(t.cache_read_tokens) / sum(t.input_tokens)) AS hit_rate,
    sum(t.errors) / sum(t.calls) AS failed
FROM {{totals}} AS t
GROUP BY side
ORDER BY side DESC
