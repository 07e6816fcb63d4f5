-- What each model cost, by seller: the same model has another price elsewhere. NULL: no call of it has a price.
SELECT
    model,
    provider,
    sum(cost_usd) AS spend_usd,
    sum(calls) AS calls,
    sum(tokens) AS tokens
FROM {{lines}}
GROUP BY model, provider
ORDER BY spend_usd DESC NULLS LAST, calls DESC, model, provider
LIMIT 50
