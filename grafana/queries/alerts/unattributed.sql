-- Percent of the spend of the last 60 minutes that has no team. No answer under 1 USD, nor where no line of the time range
-- has a team: nobody attributes there.
SELECT
    'all' AS scope,
    100 * unowned_usd / spent_usd AS unattributed_percent
FROM
(
    SELECT
        toFloat64(ifNull(sum(m.cost_usd), 0)) AS spent_usd,
        toFloat64(ifNull(sumIf(m.cost_usd, m.team IN ('', '(none)')), 0)) AS unowned_usd
    FROM llmcost.calls_by_minute AS m
    WHERE day >= toDate32($__toTime - 3660, 'UTC') AND hour >= toStartOfHour($__toTime - 3660, 'UTC')
    AND minute >= $__toTime - 3600 AND minute <= $__toTime
)
WHERE spent_usd >= 1
AND (
    SELECT count() > 0 FROM llmcost.calls_daily
    WHERE day >= toDate32($__fromTime, 'UTC') AND day <= toDate32($__toTime, 'UTC') AND team NOT IN ('', '(none)'))
