-- The average call: input that came from the cache, other input, output.
SELECT
    bucket AS time,
    sum(t.cache_read_tokens) / sum(t.calls) AS cached,
    (sum(t.input_tokens) - sum(t.cache_read_tokens)) / sum(t.calls) AS input,
    sum(t.output_tokens) / sum(t.calls) AS output
FROM {{totals}} AS t
GROUP BY time
ORDER BY time
