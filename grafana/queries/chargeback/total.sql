-- The bill: effective, at list prices, and how much of it is not known or nobody's.
SELECT
    toFloat64(sum(b.cost_usd)) AS spend_usd,
    toFloat64(sum(b.list_cost_usd)) AS list_usd,
    if(list_usd > 0, 1 - spend_usd / list_usd, NULL) AS discount,
    if(spend_usd > 0, toFloat64(ifNull(sumIf(b.cost_usd, team != '(none)'), 0)) / spend_usd, NULL) AS attributed,
    if(sum(b.calls) = 0, NULL, sum(b.unpriced_calls)) AS unpriced_calls,
    toFloat64(sum(b.cache_savings_usd)) AS saved_usd
FROM {{billed}} AS b
