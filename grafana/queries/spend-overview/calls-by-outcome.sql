-- Calls per bar that the provider answered, and that ended in an error.
SELECT
    bucket AS time,
    sum(l.calls) - sum(l.errors) AS answered,
    sum(l.errors) AS error
FROM {{lines}} AS l
GROUP BY time
ORDER BY time
