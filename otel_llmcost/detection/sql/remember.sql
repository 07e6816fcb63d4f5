-- The hours of [from, to) into series_hour; both are full hours. Again for the same hours: the newest counts.
INSERT INTO {database}.series_hour
    (series_kind, series_key, hour, calls, errors, retries, cost_usd, max_call_usd, sq1, sq5, quarters_usd,
     input_tokens, output_tokens, cache_read_tokens, calls_sq1, calls_sq5, calls_sq15)
SELECT
    series_kind,
    series_key,
    hour,
    sum(m.calls),
    sum(m.errors),
    sum(m.retries),
    sum(usd),
    max(toFloat64(m.max_call_usd)),
    arraySum(x -> x * x, groupArrayInsertAt(0., 60)(usd, toMinute(minute)) AS minutes),
    arraySum(i -> pow(arraySum(arraySlice(minutes, 5 * i + 1, 5)), 2), range(12)),
    arrayMap(i -> arraySum(arraySlice(minutes, 15 * i + 1, 15)), range(4)),
    sum(m.input_tokens),
    sum(m.output_tokens),
    sum(m.cache_read_tokens),
    arraySum(x -> x * x, groupArrayInsertAt(0., 60)(toFloat64(m.calls), toMinute(minute)) AS minutes_calls),
    arraySum(i -> pow(arraySum(arraySlice(minutes_calls, 5 * i + 1, 5)), 2), range(12)),
    arraySum(i -> pow(arraySum(arraySlice(minutes_calls, 15 * i + 1, 15)), 2), range(4))
FROM
(
    SELECT *, toFloat64(ifNull(cost_usd, 0)) AS usd
    FROM {database}.series_minute(start = {from:DateTime('UTC')}, until = {to:DateTime('UTC')})
) AS m
GROUP BY series_kind, series_key, toStartOfHour(minute, 'UTC') AS hour;
