-- The bill by some dimensions; the share is of all. Sums of a month take time: each panel adds only those that it shows.
SELECT
    {{keys}},
    toFloat64(sum(b.cost_usd)) AS spend_usd,
    {{more}}
    spend_usd / sum(spend_usd) OVER () AS share,
    sum(b.calls) AS calls
FROM {{billed}} AS b
GROUP BY {{keys}}
ORDER BY spend_usd DESC NULLS LAST, calls DESC, {{keys}}
LIMIT 200
