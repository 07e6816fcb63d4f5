-- Why a price is missing or not exact.
SELECT reason, sum(t.calls) AS calls, sum(t.unpriced_calls) AS unpriced_calls, toFloat64(sum(t.cost_usd)) AS spend_usd
FROM {{totals}} AS t
WHERE reason != ''
GROUP BY reason
ORDER BY unpriced_calls DESC, calls DESC, reason
LIMIT 50
