-- What each team spent and its share of all; the window runs before the limit, so the share is of all teams.
SELECT
    team,
    sum(cost_usd) AS spend_usd,
    toFloat64(spend_usd) / toFloat64(sum(spend_usd) OVER ()) AS share,
    sum(calls) AS calls
FROM {{lines}}
GROUP BY team
ORDER BY spend_usd DESC NULLS LAST, calls DESC, team
LIMIT 50
