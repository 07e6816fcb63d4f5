-- USD per hour by bar and model: the 7 most expensive models of the range by name, the rest together. Money first
-- summed per bar and model, then ranked over the range: the ledger is read once.
SELECT
    bucket AS time,
    if(place <= 7, name, '(other)') AS model,
    toFloat64(sum(bar_usd)) * 3600 / any(bar_s) AS usd_per_hour
FROM
(
    SELECT
        bucket, name, bar_usd, bar_s,
        dense_rank() OVER (ORDER BY model_usd DESC, name) AS place
    FROM
    (
        SELECT
            bucket,
            model AS name,
            sum(cost_usd) AS bar_usd,
            any(covered_s) AS bar_s,
            sum(bar_usd) OVER (PARTITION BY name) AS model_usd
        FROM {{lines}}
        WHERE cost_usd IS NOT NULL
        GROUP BY bucket, name
    )
)
GROUP BY time, model
ORDER BY time, model
