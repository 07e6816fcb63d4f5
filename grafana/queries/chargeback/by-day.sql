-- By day and team: the 7 most expensive teams of the range by name, the rest together.
SELECT
    toDateTime(day, 'UTC') AS time,
    if(place <= 7, name, '(other)') AS team,
    sum(usd) AS spend_usd
FROM
(
    SELECT day, name, usd, dense_rank() OVER (ORDER BY team_usd DESC, name) AS place
    FROM
    (
        SELECT day, team AS name, toFloat64(sum(b.cost_usd)) AS usd, sum(usd) OVER (PARTITION BY name) AS team_usd
        FROM {{billed}} AS b
        WHERE cost_usd IS NOT NULL
        GROUP BY day, name
    )
)
GROUP BY time, team
ORDER BY time, team
