-- Has a ratio of a series moved for the worse? Judges every minute of [from, to) by the 1, 5, 15 and 60 minutes that end
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
            -- cost, tokens, uncached input, input, calls, failed: each as sums from the first minute on
            arrayMap(c -> arrayPushFront(arrayCumSum(c), 0.), [
                groupArrayInsertAt(0., {minutes:UInt32})(usd, at), groupArrayInsertAt(0., {minutes:UInt32})(tokens, at),
                groupArrayInsertAt(0., {minutes:UInt32})(uncached, at), groupArrayInsertAt(0., {minutes:UInt32})(inputs, at),
                groupArrayInsertAt(0., {minutes:UInt32})(n, at), groupArrayInsertAt(0., {minutes:UInt32})(failed, at)
            ]) AS sums
        FROM
        (
            SELECT
                series_kind,
                series_key,
                toUInt32(dateDiff('minute', start, m.minute)) AS at,
                sum(toFloat64(ifNull(m.cost_usd, 0))) AS usd,
                sum(toFloat64(m.input_tokens)) AS inputs,
                sum(toFloat64(m.output_tokens)) + inputs AS tokens,
                inputs - least(sum(toFloat64(m.cache_read_tokens)), inputs) AS uncached,
                sum(toFloat64(m.calls)) AS n,
                least(greatest(sum(toFloat64(m.errors)), sum(toFloat64(m.retries))), n) AS failed
            FROM {database}.series_minute(
                start = toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540, until = {to:DateTime('UTC')}) AS m
            GROUP BY series_kind, series_key, at
        )
        GROUP BY kind, key
    ),
    windows AS
    (
        SELECT kind, key, width, w.1 AS at, w.2 AS usd, w.3 AS tokens, w.4 AS uncached, w.5 AS inputs, w.6 AS n, w.7 AS failed
        FROM minutes
        ARRAY JOIN [1, 5, 15, 60] AS width
        ARRAY JOIN arrayFilter(
            w -> w.6 >= if(width = 60, 5, 20), -- of few calls the mean says little
            arrayMap(
                (i, a1, a0, b1, b0, c1, c0, d1, d0, e1, e0, f1, f0) ->
                    (i, a1 - a0, b1 - b0, c1 - c0, d1 - d0, e1 - e0, f1 - f0),
                range(60, length + 1),
                arraySlice(sums[1], 61), arraySlice(sums[1], 61 - width, length - 59),
                arraySlice(sums[2], 61), arraySlice(sums[2], 61 - width, length - 59),
                arraySlice(sums[3], 61), arraySlice(sums[3], 61 - width, length - 59),
                arraySlice(sums[4], 61), arraySlice(sums[4], 61 - width, length - 59),
                arraySlice(sums[5], 61), arraySlice(sums[5], 61 - width, length - 59),
                arraySlice(sums[6], 61), arraySlice(sums[6], 61 - width, length - 59)
            )
        ) AS w
    ),
    usual AS
    (
        SELECT
            kind, key, hour,
            groupArray((measure, base, spread, hour_calls)) AS measures,
            anyIf(base, measure = 'cost_per_token') AS usual_price
        FROM
        (
            SELECT series_kind AS kind, series_key AS key, hour, measure, greatest(usual, lately, hourly) AS base, spread, hour_calls
            FROM {database}.series_usual FINAL
            WHERE hour >= toStartOfHour({from:DateTime('UTC')}, 'UTC') AND hour < {to:DateTime('UTC')} AND hours_known >= 12
        )
        GROUP BY kind, key, hour
    ),
    judged AS
    (
        SELECT
            w.kind AS kind, w.key AS key, w.width AS width, w.usd AS usd,
            start + (w.at - 1) * 60 AS minute,
            m.1 AS measure,
            m.2 AS base,
            multiIf(
                measure = 'cost_per_token', w.usd / w.tokens,
                measure = 'cache_loss', w.uncached / w.inputs,
                measure = 'tokens_per_call', w.inputs / w.n,
                (w.failed + 0.5) / (w.n + 0.5)
            ) AS ratio,
            -- failures are counted, and scored as lumps of cost are in spend.sql; the others are means of sizes
            if(measure = 'retry_storm',
                score(w.failed, base * w.n + 1, 1 / pow(greatest(m.3, 0.3), 2)),
                log(ratio / base) / greatest(m.3 * sqrt(greatest(1, m.4 / w.n)), t.min_spread * pow(60 / w.width, 1 / 6))) AS z,
            multiIf(
                measure = 'retry_storm', w.usd * (1 - base / ratio),
                measure = 'tokens_per_call', w.usd * (1 - base / ratio),
                w.usd - w.tokens * u.usual_price
            ) AS excess,
            t.measure_z AS measure_z, t.min_excess_usd AS min_excess_usd,
            -- the least change worth a word
            multiIf(measure = 'retry_storm', ratio >= greatest(2 * base, 0.2), measure = 'tokens_per_call', ratio >= 2 * base,
                ratio >= 1.25 * base) AS is_large
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
WHERE z >= measure_z AND is_large AND excess >= min_excess_usd
GROUP BY hour, kind, key, measure;
