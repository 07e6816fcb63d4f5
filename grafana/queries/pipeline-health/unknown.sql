-- Shares of calls without a price and without a team.
SELECT
    bucket AS time,
    sum(t.unpriced_calls) / sum(t.calls) AS unpriced,
    sumIf(t.calls, team = '(none)') / sum(t.calls) AS unattributed
FROM {{totals}} AS t
GROUP BY time
ORDER BY time
