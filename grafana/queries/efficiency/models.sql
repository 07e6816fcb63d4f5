-- Speed against cost. Times are of the last day of the range, from histograms, exact to 4.5 %; NULL where nothing was
-- streamed.
SELECT
    model,
    if(calls = 0, NULL, toFloat64(sum(t.cost_usd)) / calls * 1000) AS usd_per_thousand,
    sum(t.calls) AS calls,
    if(sum(t.input_tokens) = 0, NULL, sum(t.cache_read_tokens) / sum(t.input_tokens)) AS hit_rate,
    if(empty(sumMapIf(t.ttft_histogram, began >= $__toTime - INTERVAL 1 DAY) AS firsts), NULL,
        exp2((arrayReduce('quantileExactWeighted(0.5)', mapKeys(firsts), mapValues(firsts)) + 0.5) / 8)) AS ttft_p50_ms,
    if(empty(firsts), NULL,
        exp2((arrayReduce('quantileExactWeighted(0.95)', mapKeys(firsts), mapValues(firsts)) + 0.5) / 8)) AS ttft_p95_ms,
    if(empty(sumMapIf(t.duration_histogram, began >= $__toTime - INTERVAL 1 DAY) AS wholes), NULL,
        exp2((arrayReduce('quantileExactWeighted(0.5)', mapKeys(wholes), mapValues(wholes)) + 0.5) / 8)) AS duration_p50_ms
FROM {{totals}} AS t
GROUP BY model
ORDER BY toFloat64(sum(t.cost_usd)) DESC NULLS LAST, calls DESC, model
LIMIT 50
