-- How well the money of the time range was spent. NULL: nothing to divide by, or not kept by the day.
SELECT
    if(sum(t.input_tokens) = 0, NULL, sum(t.cache_read_tokens) / sum(t.input_tokens)) AS hit_rate,
    toFloat64(sum(t.cache_savings_usd)) AS saved_usd,
    if(sum(t.calls) = 0, NULL, sum(t.retries) / sum(t.calls)) AS retried,
    toFloat64(sum(t.wasted_cost_usd)) AS wasted_usd,
    if(sum(t.cost_usd) > 0 AND count(t.retries) > 0,
        toFloat64(ifNull(sumIf(t.cost_usd, tier = 'batch'), 0)) / toFloat64(sum(t.cost_usd)), NULL) AS batch
FROM {{totals}} AS t
