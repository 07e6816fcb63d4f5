-- Percent of the calls, or of the tokens, of the last 60 minutes that have no price: whichever is more. Calls that used
-- nothing are in the former only. Few calls are no share.
SELECT
    'all' AS scope,
    100 * greatest(unpriced / calls, if(all_tokens = 0, 0, without_price / all_tokens)) AS unpriced_percent
FROM
(
    SELECT sum(m.calls) AS calls, sum(m.unpriced_calls) AS unpriced, sum(m.tokens) AS all_tokens, sum(m.unpriced_tokens) AS without_price
    FROM llmcost.calls_by_minute AS m
    WHERE day >= toDate32($__toTime - 3660, 'UTC') AND hour >= toStartOfHour($__toTime - 3660, 'UTC')
    AND minute >= $__toTime - 3600 AND minute <= $__toTime
)
WHERE calls >= 20
