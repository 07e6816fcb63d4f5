-- Why does a series cost more (or less) than in what it is compared with? The difference, split into
--   volume  more calls
--   mix     other models
--   tokens  more tokens per call, of the same model
--   cache   fewer of the input tokens from the cache
--   price   another price per token, and what is charged by the call
-- by Shapley values: the change of one factor, averaged over every order in which the five could have changed one after
-- the other. So the parts do not depend on an order, and sum to the difference. They are rounded to 1e-12 USD, and what
-- rounding leaves goes to the largest part: the sum is exact to the last digit.
WITH
    {{explained}},
    money AS
    (
        SELECT
            toDecimal128(ifNull(sumIf(cost_usd, is_now), 0), 12) AS now_usd,
            toDecimal128(ifNull(sumIf(cost_usd, NOT is_now), 0), 12) AS all_base_usd,
            toDecimal128(round(toDecimal256(all_base_usd, 18) / periods, 12), 12) AS base_usd
        FROM lines
    ),
    models AS
    (
        SELECT
            model,
            -- each [in the base, now]
            [sumIf(calls, NOT is_now) / periods, toFloat64(sumIf(calls, is_now))] AS n,
            [sumIf(input_tokens, NOT is_now) / periods, toFloat64(sumIf(input_tokens, is_now))] AS inputs,
            [sumIf(cache_read_tokens, NOT is_now) / periods, toFloat64(sumIf(cache_read_tokens, is_now))] AS cached,
            [sumIf(output_tokens, NOT is_now) / periods, toFloat64(sumIf(output_tokens, is_now))] AS outputs,
            [toFloat64(ifNull(sumIf(input_cost_usd + cache_write_cost_usd, NOT is_now), 0)) / periods,
                toFloat64(ifNull(sumIf(input_cost_usd + cache_write_cost_usd, is_now), 0))] AS uncached_usd,
            [toFloat64(ifNull(sumIf(cache_read_cost_usd, NOT is_now), 0)) / periods,
                toFloat64(ifNull(sumIf(cache_read_cost_usd, is_now), 0))] AS cached_usd,
            [toFloat64(ifNull(sumIf(output_cost_usd, NOT is_now), 0)) / periods,
                toFloat64(ifNull(sumIf(output_cost_usd, is_now), 0))] AS output_usd,
            [toFloat64(ifNull(sumIf(other_cost_usd, NOT is_now), 0)) / periods,
                toFloat64(ifNull(sumIf(other_cost_usd, is_now), 0))] AS other_usd
        FROM lines
        GROUP BY model
    ),
    rates AS
    (
        -- A model without calls (or without tokens of a kind) on one side has the rates of the other side there: what it
        -- adds is mix (or tokens, or cache), not price.
        WITH (amounts, counts) -> if(counts[1] > 0 AND counts[2] > 0, arrayMap((a, c) -> a / c, amounts, counts),
            arrayWithConstant(2, if(counts[1] > 0, amounts[1] / counts[1], if(counts[2] > 0, amounts[2] / counts[2], 0.))))
            AS rate
        SELECT
            model, n,
            arrayMap((i, c) -> greatest(i - c, 0), inputs, cached) AS uncached,
            rate(inputs, n) AS input_per_call,
            rate(outputs, n) AS output_per_call,
            rate(cached, inputs) AS cache_share,
            rate(uncached_usd, uncached) AS uncached_price,
            rate(cached_usd, cached) AS cached_price,
            rate(output_usd, outputs) AS output_price,
            -- by the call, and whatever was charged for tokens that nobody counted
            rate(arrayMap((x, u, ut, c, ct, o, ot) -> x + if(ut > 0, 0, u) + if(ct > 0, 0, c) + if(ot > 0, 0, o),
                other_usd, uncached_usd, uncached, cached_usd, cached, output_usd, outputs), n) AS other_per_call
        FROM models
    ),
    calls_of AS
    (
        SELECT [sum(n[1]), sum(n[2])] AS total FROM models
    ),
    worlds AS
    (
        -- What the series would cost if the factors in the bits of `mask` were as now and the others as in the base.
        SELECT
            mask,
            sum(
                total[bitTest(mask, 0) + 1]
                * if(total[bitTest(mask, 1) + 1] > 0, n[bitTest(mask, 1) + 1] / total[bitTest(mask, 1) + 1],
                    n[2 - bitTest(mask, 1)] / greatest(total[2 - bitTest(mask, 1)], 1))
                * (
                    input_per_call[bitTest(mask, 2) + 1] * (
                        (1 - cache_share[bitTest(mask, 3) + 1]) * uncached_price[bitTest(mask, 4) + 1]
                        + cache_share[bitTest(mask, 3) + 1] * cached_price[bitTest(mask, 4) + 1]
                    )
                    + output_per_call[bitTest(mask, 2) + 1] * output_price[bitTest(mask, 4) + 1]
                    + other_per_call[bitTest(mask, 4) + 1]
                )
            ) AS usd
        FROM rates CROSS JOIN calls_of
        ARRAY JOIN range(32) AS mask
        GROUP BY mask
    ),
    shapley AS
    (
        SELECT
            groupArray(w.usd) AS f,
            arrayMap(
                j -> toDecimal128(round(arraySum(
                    m -> if(bitTest(m, j), 0.,
                        [0.2, 0.05, 1 / 30, 0.05, 0.2][bitCount(m) + 1] * (f[m + bitShiftLeft(1, j) + 1] - f[m + 1])),
                    range(32)
                ), 12), 12),
                range(5)
            ) AS rounded
        FROM (SELECT usd FROM worlds ORDER BY mask) AS w
    ),
    exact AS
    (
        SELECT
            now_usd, base_usd, now_usd - base_usd AS difference,
            arrayFirstIndex(p -> abs(p) = arrayMax(q -> abs(q), rounded), rounded) AS largest,
            arrayMap((p, i) -> p + if(i = largest, difference - arraySum(rounded), toDecimal128(0, 12)),
                rounded, arrayEnumerate(rounded)) AS parts
        FROM money CROSS JOIN shapley
    )
SELECT
    one.1 AS part,
    one.2 AS change_usd,
    now_usd,
    base_usd,
    difference AS difference_usd,
    periods AS base_periods
FROM exact
ARRAY JOIN arrayZip(['volume', 'mix', 'tokens', 'cache', 'price'], parts) AS one;
