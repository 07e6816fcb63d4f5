-- What a thousand calls of each cost, bar by bar.
SELECT
    bucket AS time,
    toString({{picked}}) AS value,
    toFloat64(sum(t.cost_usd)) / sum(t.calls) * 1000 AS usd_per_thousand
FROM {{totals}} AS t
WHERE value IN (${left:sqlstring}, ${right:sqlstring}) AND cost_usd IS NOT NULL
GROUP BY time, value
ORDER BY time, value
