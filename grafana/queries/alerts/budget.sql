-- Budgets, and the thresholds below 100 % that they have reached.
SELECT budget, period, since, amount_usd, toString(round(100 * threshold, 1)) AS threshold, 100 * share AS spent_percent
FROM ({{budgets_now}})
ARRAY JOIN thresholds AS threshold
WHERE share >= threshold AND threshold < 1
ORDER BY budget, threshold
