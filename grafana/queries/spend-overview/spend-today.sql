-- Effective cost of the UTC day in which the range ends. NULL: nothing with a price yet.
SELECT sum(cost_usd) AS spend_usd
FROM llmcost.calls
WHERE ts >= toStartOfDay($__toTime, 'UTC')
AND ts <= $__toTime
{{filters}}
