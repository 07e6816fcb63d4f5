-- What each value of a dimension spent and its share of all; the window runs before the limit, so the share is of all.
SELECT
    {{dimension}},
    toFloat64(sum(t.cost_usd)) AS spend_usd,
    spend_usd / sum(spend_usd) OVER () AS share,
    sum(t.calls) AS calls
FROM {{from}} AS t
GROUP BY {{dimension}}
ORDER BY spend_usd DESC NULLS LAST, calls DESC, {{dimension}}
LIMIT 50
