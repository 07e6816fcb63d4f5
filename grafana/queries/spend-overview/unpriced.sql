-- Calls without a price and why; the rollup knows no reasons, so this reads call by call.
SELECT
    if(c.model = '', '(none)', c.model) AS model,
    if(c.provider = '', '(none)', c.provider) AS provider,
    reason,
    count() AS calls,
    sum(input_tokens + output_tokens) AS tokens
FROM llmcost.calls AS c
WHERE cost_usd IS NULL
AND $__timeFilter(ts)
{{filters}}
GROUP BY model, provider, reason
ORDER BY calls DESC, model, provider, reason
LIMIT 50
