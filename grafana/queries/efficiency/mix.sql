-- Spend by bar and model: the 7 most expensive of the range by name, the rest together.
SELECT bucket AS time, if(place <= 7, name, '(other)') AS model, sum(usd) AS spend_usd
FROM
(
    SELECT bucket, name, usd, dense_rank() OVER (ORDER BY model_usd DESC, name) AS place
    FROM
    (
        SELECT bucket, model AS name, toFloat64(sum(t.cost_usd)) AS usd, sum(usd) OVER (PARTITION BY name) AS model_usd
        FROM {{totals}} AS t
        WHERE cost_usd IS NOT NULL
        GROUP BY bucket, name
    )
)
GROUP BY time, model
ORDER BY time, model
