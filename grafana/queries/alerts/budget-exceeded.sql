-- Budgets that are exceeded, and their thresholds of 100 % and more.
SELECT budget, period, since, amount_usd, toString(round(100 * passed, 1)) AS threshold, 100 * share AS spent_percent
FROM ({{budgets_now}})
ARRAY JOIN thresholds AS passed
WHERE share >= passed AND passed >= 1
ORDER BY budget, passed
