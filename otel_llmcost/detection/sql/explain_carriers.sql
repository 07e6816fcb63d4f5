-- Which values of each dimension carry the difference: the five largest changes of each, either way.
WITH
    {{explained}}
SELECT
    series.1 AS dimension,
    series.2 AS value,
    toDecimal128(ifNull(sumIf(c.cost_usd, is_now), 0), 12) AS now_usd,
    toDecimal128(round(toDecimal256(ifNull(sumIf(c.cost_usd, NOT is_now), 0), 18) / periods, 12), 12) AS base_usd,
    now_usd - base_usd AS change_usd,
    sumIf(calls, is_now) AS calls_now,
    sumIf(calls, NOT is_now) / periods AS calls_base
FROM lines AS c
ARRAY JOIN {{kinds}} AS series
WHERE series.1 NOT IN ('total', {kind:String}) AND series.2 != ''
GROUP BY dimension, value
ORDER BY indexOf(['team', 'feature', 'agent', 'model', 'customer', 'user', 'service', 'host'], dimension), abs(change_usd) DESC, value
LIMIT 5 BY dimension;
