-- Effective cost of the UTC month in which the range ends, by whole hours.
SELECT sum(cost_usd) AS spend_usd
FROM llmcost.calls_hourly
WHERE hour >= toDateTime(toStartOfMonth($__toTime, 'UTC'), 'UTC')
AND hour <= $__toTime
{{filters}}
