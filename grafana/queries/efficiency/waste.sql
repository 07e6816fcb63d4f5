-- What failed and aborted calls cost, and the share of calls that were tried again.
SELECT
    bucket AS time,
    toFloat64(ifNull(sum(t.wasted_cost_usd), 0)) AS wasted_usd,
    sum(t.retries) / sum(t.calls) AS retried
FROM {{totals}} AS t
GROUP BY time
ORDER BY time
