-- What the ratios of a series usually are in each hour of [from, to), into series_usual: the median of its hours of the
-- last week, of the last day, and of the same hour in the last week (each hour weighs as its calls do), and how far
-- hours are from it.
--   cost_per_token   cost / what such tokens usually cost: the price, or the mix of models
--   cache_loss       uncached share of the input tokens
--   tokens_per_call  input tokens / calls
--   retry_storm      share of the calls that failed or were repeats; half a call is added, for most hours have none
--
-- Tokens are not alike: output is dearer, cached input cheaper. What a token of each kind costs a series (prices) is
-- what explains its hours of the last week best: weighted least squares, drawn a little to the proportions that most
-- price lists have (1 : 0.25 : 5), and those where nothing better is found. So neither longer answers nor a fuller cache
-- look like a moved price, and a few calls tell one. Calls without tokens count by the call.
INSERT INTO {database}.series_usual
    (series_kind, series_key, hour, measure, usual, lately, hourly, spread, hour_calls, hours_known, extreme, prices)
WITH
    targets AS
    (
        SELECT toStartOfHour({from:DateTime('UTC')}, 'UTC') + 3600 * arrayJoin(range(toUInt32(
            intDiv(dateDiff('second', toStartOfHour({from:DateTime('UTC')}, 'UTC'), {to:DateTime('UTC')}) + 3599, 3600)
        ))) AS target
    ),
    week AS
    (
        SELECT
            series_kind AS kind, series_key AS key, hour, calls, errors, retries, cost_usd, input_tokens,
            toFloat64(input_tokens - least(cache_read_tokens, input_tokens)) AS uncached,
            toFloat64(least(cache_read_tokens, input_tokens)) AS cached,
            toFloat64(output_tokens) AS output,
            if(input_tokens + output_tokens = 0, toFloat64(calls), 0.) AS bare,
            hour < {from:DateTime('UTC')} - 3600 AND cost_usd > 0 AS is_known
        FROM {database}.series_hour FINAL
        WHERE hour >= {from:DateTime('UTC')} - 169 * 3600 AND hour < {to:DateTime('UTC')}
    ),
    sums AS
    (
        -- Normal equations in the errors that the usual proportions leave, with a ridge on the diagonal.
        SELECT
            kind, key,
            sumIf(cost_usd, is_known AND bare = 0) / greatest(sumIf(uncached + 0.25 * cached + 5 * output, is_known), 1) AS p,
            1.001 * sumIf(uncached * uncached / cost_usd, is_known) AS uu, sumIf(uncached * cached / cost_usd, is_known) AS uc,
            1.001 * sumIf(cached * cached / cost_usd, is_known) AS cc, sumIf(uncached * output / cost_usd, is_known) AS uo,
            1.001 * sumIf(output * output / cost_usd, is_known) AS oo, sumIf(cached * output / cost_usd, is_known) AS co,
            sumIf(uncached, is_known AND bare = 0) - p * (uu / 1.001 + 0.25 * uc + 5 * uo) AS bu,
            sumIf(cached, is_known AND bare = 0) - p * (uc + 0.25 * cc / 1.001 + 5 * co) AS bc,
            sumIf(output, is_known AND bare = 0) - p * (uo + 0.25 * co + 5 * oo / 1.001) AS bo,
            sumIf(cost_usd, is_known AND bare > 0) / greatest(sumIf(bare, is_known), 1) AS per_call,
            -- a kind of token that the series has none of
            if(uu > 0, uu, 1) AS a, if(cc > 0, cc, 1) AS b, if(oo > 0, oo, 1) AS c,
            a * (b * c - co * co) - uc * (uc * c - co * uo) + uo * (uc * co - b * uo) AS det,
            [
                p + (bu * (b * c - co * co) - uc * (bc * c - co * bo) + uo * (bc * co - b * bo)) / det,
                0.25 * p + (a * (bc * c - co * bo) - bu * (uc * c - co * uo) + uo * (uc * bo - bc * uo)) / det,
                5 * p + (a * (b * bo - bc * co) - uc * (uc * bo - bc * uo) + bu * (uc * co - b * uo)) / det
            ] AS solved,
            arrayConcat(
                if(arrayAll(one -> isFinite(one) AND one >= 0, solved), solved, [p, 0.25 * p, 5 * p]), [per_call]
            ) AS prices
        FROM week
        GROUP BY kind, key
    ),
    ratios AS
    (
        SELECT
            w.kind AS kind, w.key AS key, w.hour AS hour, w.calls AS calls, s.prices AS prices,
            r.1 AS measure,
            log(r.2) AS ratio
        FROM week AS w
        INNER JOIN (SELECT kind, key, prices FROM sums) AS s ON s.kind = w.kind AND s.key = w.key
        ARRAY JOIN [
            ('cost_per_token', w.cost_usd / arrayDotProduct(s.prices, [w.uncached, w.cached, w.output, w.bare])),
            ('cache_loss', w.uncached / w.input_tokens),
            ('tokens_per_call', w.input_tokens / w.calls),
            ('retry_storm', (least(greatest(w.errors, w.retries), w.calls) + 0.5) / (w.calls + 0.5))
        ] AS r
        WHERE r.2 > 0 AND isFinite(r.2)
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
    countIf(age <= 169),
    greatest(maxIf(ratio, age <= 169) - middle, middle - minIf(ratio, age <= 169)),
    if(measure = 'cost_per_token', any(r.prices), [])
FROM (SELECT *, dateDiff('hour', hour, target) AS age FROM targets CROSS JOIN ratios) AS r
WHERE age BETWEEN 2 AND 169
GROUP BY kind, key, target, measure
HAVING max(age) >= 72;
