-- What was billed in which tier; batches are one.
SELECT
    if(tier = '', '(standard)', tier) AS service_tier,
    toFloat64(sum(t.cost_usd)) AS spend_usd,
    spend_usd / sum(spend_usd) OVER () AS share,
    sum(t.calls) AS calls
FROM {{totals}} AS t
GROUP BY service_tier
ORDER BY spend_usd DESC NULLS LAST, calls DESC, service_tier
LIMIT 20
