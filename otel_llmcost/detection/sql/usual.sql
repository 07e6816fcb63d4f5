-- What the ratios of a series usually are in each hour of [from, to), into series_usual: the median of its hours of the
-- last week, of the last day, and of the same hour in the last week (each hour weighs as its calls do), and how far
-- hours are from it.
--   cost_per_token   cost / (input + output tokens): the price, or the mix of models
--   cache_loss       uncached share of the input tokens
--   tokens_per_call  input tokens / calls
--   retry_storm      share of the calls that failed or were repeats; half a call is added, for most hours have none
INSERT INTO {database}.series_usual
    (series_kind, series_key, hour, measure, usual, lately, hourly, spread, hour_calls, hours_known)
WITH
    targets AS
    (
        SELECT toStartOfHour({from:DateTime('UTC')}, 'UTC') + 3600 * arrayJoin(range(toUInt32(
            intDiv(dateDiff('second', toStartOfHour({from:DateTime('UTC')}, 'UTC'), {to:DateTime('UTC')}) + 3599, 3600)
        ))) AS target
    ),
    ratios AS
    (
        SELECT
            series_kind AS kind, series_key AS key, hour, calls,
            r.1 AS measure,
            log(r.2) AS ratio
        FROM {database}.series_hour FINAL
        ARRAY JOIN [
            ('cost_per_token', cost_usd / (input_tokens + output_tokens)),
            ('cache_loss', (input_tokens - least(cache_read_tokens, input_tokens)) / input_tokens),
            ('tokens_per_call', input_tokens / calls),
            ('retry_storm', (least(greatest(errors, retries), calls) + 0.5) / (calls + 0.5))
        ] AS r
        WHERE hour >= {from:DateTime('UTC')} - 169 * 3600 AND hour < {to:DateTime('UTC')}
        AND r.2 > 0 AND isFinite(r.2)
    )
SELECT
    kind,
    key,
    target,
    measure,
    exp(quantileExactWeightedIf(0.5)(ratio, calls, age <= 169) AS middle),
    exp(ifNotFinite(quantileExactWeightedIf(0.5)(ratio, calls, age <= 25), middle)),
    exp(ifNotFinite(greatest(quantileExactWeightedIf(0.5)(ratio, calls, age % 24 = 0),
        quantileExactWeightedIf(0.5)(ratio, calls, age % 24 = 1)), middle)),
    -- 8 of 10 hours: a fault of a day does not hide the next
    greatest(quantileExactWeightedIf(0.8)(ratio, calls, age <= 169) - middle, 0) / 0.8416,
    quantileExactWeightedIf(0.5)(calls, calls, age <= 169), -- of the median call, so to say: few hours may hold most calls
    countIf(age <= 169)
FROM (SELECT *, dateDiff('hour', hour, target) AS age FROM targets CROSS JOIN ratios)
WHERE age BETWEEN 2 AND 169
GROUP BY kind, key, target, measure
HAVING max(age) >= 72;
