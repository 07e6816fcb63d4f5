-- The bill by some dimensions; the share is of all.
SELECT
    {{keys}},
    toFloat64(sum(b.cost_usd)) AS spend_usd,
    toFloat64(sum(b.list_cost_usd)) AS list_usd,
    spend_usd / sum(spend_usd) OVER () AS share,
    sum(b.calls) AS calls,
    sum(b.tokens) AS tokens,
    if(tokens = 0, NULL, spend_usd / tokens * 1e6) AS usd_per_million,
    sum(b.unpriced_calls) AS unpriced_calls
FROM {{billed}} AS b
GROUP BY {{keys}}
ORDER BY spend_usd DESC NULLS LAST, calls DESC, {{keys}}
LIMIT 200
