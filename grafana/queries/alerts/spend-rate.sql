-- How many times the usual does each team, and everybody together, spend? Usual is the median, over the last 14 days,
-- of what the same 60 minutes of the day cost; a day without calls counts as 0.
-- Cold start: no answer for a team before it was seen 5 days ago. Small change: the usual is taken as 1 USD at least,
-- so nobody is woken for cents, and spend at an hour that is quiet as a rule still shows.
-- One number column and label columns: Grafana makes each row an alert. `scope` keeps the total apart from a team,
-- whatever the team is called; `series` is the name that anomalies have for it.
WITH toStartOfMinute($__toTime, 'UTC') AS until
SELECT
    scope,
    team,
    if(scope = 'total', 'total', concat('team=', team)) AS series,
    current_usd / greatest(usual_usd, 1) AS times_usual
FROM
(
    SELECT
        scope,
        team,
        max(days_ago) AS days_known,
        sumIf(hour_usd, days_ago = 0) AS current_usd,
        arrayReduce(
            'quantileExactInclusive(0.5)',
            arrayResize(groupArrayIf(hour_usd, days_ago > 0), days_known, 0.)
        ) AS usual_usd
    FROM
    (
        SELECT
            if(grouping(team) = 1, 'total', 'team') AS scope,
            team,
            intDiv(dateDiff('second', minute, until) - 60, 86400) AS days_ago,
            toFloat64(ifNull(sumIf(cost_usd, (dateDiff('second', minute, until) - 60) % 86400 < 3600), 0)) AS hour_usd
        FROM llmcost.spend_rate
        WHERE day >= toDate($__fromTime, 'UTC') AND minute >= $__fromTime
        AND minute < until
        GROUP BY GROUPING SETS ((team, days_ago), (days_ago))
    )
    GROUP BY scope, team
    HAVING days_known >= 5
)
ORDER BY scope, team
