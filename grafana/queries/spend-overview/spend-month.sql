-- Effective cost of the UTC month in which the range ends, by whole hours.
SELECT sum(cost_usd) AS spend_usd
FROM {{hours}}
WHERE day >= toStartOfMonth($__toTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
AND hour <= $__toTime
