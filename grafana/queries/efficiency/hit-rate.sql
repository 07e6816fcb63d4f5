-- Share of the input that came from the cache, of the 6 models with most input in the range.
SELECT
    bucket AS time,
    name AS model,
    cached / input AS hit_rate
FROM
(
    SELECT bucket, name, cached, input, dense_rank() OVER (ORDER BY all_input DESC, name) AS place
    FROM
    (
        SELECT
            bucket, model AS name, sum(t.cache_read_tokens) AS cached, sum(t.input_tokens) AS input,
            sum(input) OVER (PARTITION BY name) AS all_input
        FROM {{totals}} AS t
        GROUP BY bucket, name
    )
)
WHERE place <= 6 AND input > 0
ORDER BY time, model
