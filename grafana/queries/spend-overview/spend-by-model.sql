-- What each model cost, by seller: the same model has another price elsewhere. NULL: no call of it has a price.
SELECT
    model,
    provider,
    toFloat64(sum(t.cost_usd)) AS spend_usd,
    sum(t.calls) AS calls,
    sum(t.input_tokens + t.output_tokens) AS tokens
FROM {{totals}} AS t
GROUP BY model, provider
ORDER BY spend_usd DESC NULLS LAST, calls DESC, model, provider
LIMIT 50
