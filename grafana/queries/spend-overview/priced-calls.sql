-- Share of calls with a price. No row without calls: a share of nothing is not 0.
SELECT 1 - sum(unpriced_calls) / sum(calls) AS share
FROM {{lines}}
HAVING sum(calls) > 0
