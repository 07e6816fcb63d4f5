-- Two values of one dimension, what a call of each is like.
SELECT
    toString({{picked}}) AS value,
    toFloat64(sum(t.cost_usd)) AS spend_usd,
    sum(t.calls) AS calls,
    toFloat64(sum(t.cost_usd)) / calls AS usd_per_call,
    sum(t.input_tokens) / calls AS input_per_call,
    sum(t.output_tokens) / calls AS output_per_call,
    if(sum(t.input_tokens) = 0, NULL, sum(t.cache_read_tokens) / sum(t.input_tokens)) AS hit_rate,
    sum(t.errors) / calls AS failed,
    if(empty(sumMap(t.duration_histogram) AS wholes), NULL,
        exp2((arrayReduce('quantileExactWeighted(0.5)', mapKeys(wholes), mapValues(wholes)) + 0.5) / 8)) AS duration_p50_ms
FROM {{totals}} AS t
WHERE value IN (${left:sqlstring}, ${right:sqlstring})
GROUP BY value
ORDER BY value = ${left:sqlstring} DESC, value
