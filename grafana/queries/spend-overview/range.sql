-- Of the time range: spend, how much of the traffic has a price, how much of the money an owner, what caching saved.
-- A share of nothing is NULL, not 0.
SELECT
    toFloat64(sum(t.cost_usd)) AS spend_usd,
    if(sum(t.calls) = 0, NULL, 1 - sum(t.unpriced_calls) / sum(t.calls)) AS priced_calls,
    if(sum(t.input_tokens + t.output_tokens) = 0, NULL,
        1 - sum(t.unpriced_tokens) / sum(t.input_tokens + t.output_tokens)) AS priced_tokens,
    if(spend_usd > 0, toFloat64(ifNull(sumIf(t.cost_usd, team != '(none)'), 0)) / spend_usd, NULL) AS attributed,
    toFloat64(sum(t.cache_savings_usd)) AS saved_usd
FROM {{totals}} AS t
