-- Calls without a price and why.
SELECT model, provider, reason, sum(t.unpriced_calls) AS calls, sum(t.unpriced_tokens) AS tokens
FROM {{totals}} AS t
WHERE unpriced_calls > 0
GROUP BY model, provider, reason
ORDER BY calls DESC, model, provider, reason
LIMIT 50
