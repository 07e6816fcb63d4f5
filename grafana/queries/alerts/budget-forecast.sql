-- Budgets that the rest of their period will exceed, if it goes on like the last days; how many days are left then.
SELECT budget, period, since, amount_usd, toFloat64(days_left) AS left_days
FROM ({{budgets_now}})
WHERE exceeds_on IS NOT NULL
ORDER BY budget
