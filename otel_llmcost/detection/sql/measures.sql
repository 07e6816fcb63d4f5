-- Has a ratio of a series moved for the worse? Judges every minute of [from, to) by the 1 to 60 minutes that end
-- with it against series_usual (the greatest of last week's, last day's and that of the hour of the day), into anomaly_signals. Ratios hardly follow
-- the time of day, so they tell a dearer price, a lost cache or a storm of retries where spend alone is too noisy to.
-- Score: the logarithm of the change in standard deviations; of fewer calls than an hour has, and of shorter times, the
-- error is larger.
INSERT INTO {database}.anomaly_signals
WITH
    {{score}},
    toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540 AS start,
    dateDiff('minute', start, {to:DateTime('UTC')}) AS length,
    minutes AS
    (
        SELECT
            series_kind AS kind,
            series_key AS key,
            -- cost, uncached and cached input, output, calls without tokens, calls, failed: each as sums from the first
            -- minute on
            arrayMap(c -> arrayPushFront(arrayCumSum(c), 0.), [
                groupArrayInsertAt(0., {minutes:UInt32})(usd, at), groupArrayInsertAt(0., {minutes:UInt32})(uncached, at),
                groupArrayInsertAt(0., {minutes:UInt32})(cached, at), groupArrayInsertAt(0., {minutes:UInt32})(output, at),
                groupArrayInsertAt(0., {minutes:UInt32})(bare, at), groupArrayInsertAt(0., {minutes:UInt32})(n, at),
                groupArrayInsertAt(0., {minutes:UInt32})(failed, at)
            ]) AS sums,
            groupArrayInsertAt(0., {minutes:UInt32})(dearest, at) AS dearest_x
        FROM
        (
            SELECT
                series_kind,
                series_key,
                toUInt32(dateDiff('minute', start, m.minute)) AS at,
                sum(toFloat64(ifNull(m.cost_usd, 0))) AS usd,
                max(toFloat64(ifNull(m.max_call_usd, 0))) AS dearest,
                sum(toFloat64(m.input_tokens)) AS inputs,
                least(sum(toFloat64(m.cache_read_tokens)), inputs) AS cached,
                inputs - cached AS uncached,
                sum(toFloat64(m.output_tokens)) AS output,
                sum(toFloat64(m.calls)) AS n,
                if(inputs + output = 0, n, 0) AS bare,
                least(greatest(sum(toFloat64(m.errors)), sum(toFloat64(m.retries))), n) AS failed
            FROM {database}.series_minute(
                start = toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540, until = {to:DateTime('UTC')}) AS m
            GROUP BY series_kind, series_key, at
        )
        GROUP BY kind, key
    ),
    windows AS
    (
        SELECT
            kind, key, width, w.1 AS at, w.2 AS usd, w.3 AS uncached, w.3 + w.4 AS inputs, [w.3, w.4, w.5, w.6] AS tokens,
            w.7 AS n, w.8 AS failed,
            arrayMax(arraySlice(dearest_x, at - width + 1, width)) AS dearest
        FROM minutes
        ARRAY JOIN [1, 2, 5, 15, 60] AS width
        ARRAY JOIN arrayFilter(
            w -> w.7 >= 1,
            arrayMap(
                -- a minute without calls says nothing that the one before it has not said
                (i, before, a1, a0, b1, b0, c1, c0, d1, d0, e1, e0, f1, f0, g1, g0) ->
                    (i, a1 - a0, b1 - b0, c1 - c0, d1 - d0, e1 - e0, if(f1 > before, f1 - f0, 0), g1 - g0),
                range(60, length + 1), arraySlice(sums[6], 60, length - 59),
                arraySlice(sums[1], 61), arraySlice(sums[1], 61 - width, length - 59),
                arraySlice(sums[2], 61), arraySlice(sums[2], 61 - width, length - 59),
                arraySlice(sums[3], 61), arraySlice(sums[3], 61 - width, length - 59),
                arraySlice(sums[4], 61), arraySlice(sums[4], 61 - width, length - 59),
                arraySlice(sums[5], 61), arraySlice(sums[5], 61 - width, length - 59),
                arraySlice(sums[6], 61), arraySlice(sums[6], 61 - width, length - 59),
                arraySlice(sums[7], 61), arraySlice(sums[7], 61 - width, length - 59)
            )
        ) AS w
    ),
    usual AS
    (
        SELECT
            kind, key, hour,
            groupArray((measure, base, spread, hour_calls, extreme)) AS measures,
            anyIf(base, measure = 'cost_per_token') AS usual_price,
            anyIf(p.prices, measure = 'cost_per_token') AS prices
        FROM
        (
            SELECT series_kind AS kind, series_key AS key, hour, measure, greatest(usual, lately, hourly) AS base, spread, hour_calls,
                if(hours_known >= 24 AND (prices != [] OR measure = 'cache_loss'), extreme, 9) AS extreme, prices
            FROM {database}.series_usual FINAL
            WHERE hour >= toStartOfHour({from:DateTime('UTC')}, 'UTC') AND hour < {to:DateTime('UTC')} AND hours_known >= 12
        ) AS p
        GROUP BY kind, key, hour
    ),
    judged AS
    (
        SELECT
            w.kind AS kind, w.key AS key, w.width AS width, w.usd AS usd,
            start + (w.at - 1) * 60 AS minute,
            m.1 AS measure,
            m.2 AS base,
            -- what such tokens usually cost
            if(empty(u.prices), 0, u.usual_price * arrayDotProduct(u.prices, w.tokens)) AS usual_usd,
            multiIf(
                measure = 'cost_per_token', w.usd / (usual_usd / base),
                measure = 'cache_loss', w.uncached / w.inputs,
                measure = 'tokens_per_call', w.inputs / w.n,
                (w.failed + 0.5) / (w.n + 0.5)
            ) AS ratio,
            -- failures are counted, and scored as lumps of cost are in spend.sql; the others are means of sizes
            if(measure = 'retry_storm',
                score(w.failed, base * w.n + 0.2, 1 / pow(greatest(m.3, 0.3), 2)),
                log(ratio / base) / greatest(
                    if(m.5 <= 0.02 AND measure = 'cost_per_token', 0, m.3 * sqrt(greatest(1, m.4 / w.n))),
                    t.min_spread * pow(60 / w.width, 1 / 6) * if(measure = 'cost_per_token', 0.6, 1))) AS z,
            multiIf(
                measure = 'retry_storm', w.usd * (1 - base / ratio),
                measure = 'tokens_per_call', w.usd * (1 - base / ratio),
                measure = 'cache_loss', u.usual_price * (u.prices[1] - u.prices[2]) * (w.uncached - base * w.inputs),
                w.usd - usual_usd
            ) AS excess,
            t.measure_z AS measure_z, t.min_z AS min_z, t.min_excess_usd AS min_excess_usd,
            -- the least change worth a word
            multiIf(
                measure = 'retry_storm', ratio >= greatest(2 * base, 0.2),
                measure = 'tokens_per_call', ratio >= 2 * base AND w.n >= if(w.width = 60, 5, 20), -- few say little of the mean
                -- few calls tell what no hour of the week came near to, were it as few
                measure = 'cache_loss', ratio >= 1.25 * base AND (w.n >= if(w.width = 60, 5, 8)
                    OR (w.n >= 2 AND log(ratio / base) >= 2 * greatest(m.5, 0.1) * sqrt(greatest(1, m.4 / w.n)))),
                -- where the price never moved in a week one call tells; elsewhere it takes some, not one dear one among them,
                -- and more than the mix of models has done in the week
                ratio >= 1.25 * base AND (m.5 <= 0.02 OR (w.n >= 10 AND log(ratio / base) >= 0.7 * m.5
                    AND w.usd - w.dearest >= 1.1 * usual_usd * (w.n - 1) / w.n))
            ) AS is_large
        FROM windows AS w
        INNER JOIN usual AS u ON u.kind = w.kind AND u.key = w.key AND u.hour = toStartOfHour(start + (w.at - 1) * 60, 'UTC')
        ARRAY JOIN u.measures AS m
        CROSS JOIN {database}.detection_thresholds AS t
    )
SELECT
    toStartOfHour(minute, 'UTC') AS hour,
    kind,
    key,
    measure,
    'rise' AS direction,
    min(minute), max(minute), min(width), max(z), max(ratio / base),
    max(usd), argMax(usd - excess, excess), max(excess)
FROM judged
WHERE z >= if(measure = 'retry_storm', min_z, measure_z) AND is_large AND excess >= min_excess_usd
GROUP BY hour, kind, key, measure;
