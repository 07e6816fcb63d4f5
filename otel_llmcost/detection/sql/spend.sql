-- Is a series spending more than expected, or silent where it never is? Judges every minute of [from, to) by the 1
-- to 60 minutes that end with it, into anomaly_signals (detectors spend_rise and spend_drop).
--
-- The score is the signed root of the deviance of a negative binomial distribution: cost in lumps of their usual size
-- (burst), around an expectation that is itself uncertain (spread). It is near a standard normal also far out and for
-- few lumps, so one threshold serves dense and sparse series. Something is added to what is expected (a lump of cost, a
-- third of one of calls): nothing against nothing proves nothing.
--
-- Two counts are scored: cost, and calls at what one usually costs at that hour. Calls come in smaller lumps than cost, for
-- none of them is dearer than another, so a rise of volume shows in them first; it must show in the cost too.
--
-- A minute that has not ended (from `closed` on) may hold a rise already; silence is judged of closed minutes only.
INSERT INTO {database}.anomaly_signals
WITH
    {{score}},
    toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540 AS start,
    dateDiff('minute', start, {to:DateTime('UTC')}) AS length,
    toStartOfHour(start, 'UTC') AS hour0,
    dateDiff('minute', hour0, start) AS offset,
    dateDiff('minute', start, {closed:DateTime('UTC')}) AS closed,
    minutes AS
    (
        SELECT
            series_kind AS kind,
            series_key AS key,
            groupArrayInsertAt(0., {minutes:UInt32})(usd, at) AS x,
            groupArrayInsertAt(0., {minutes:UInt32})(dearest, at) AS dearest_x,
            groupArrayInsertAt(0., {minutes:UInt32})(n, at) AS calls_x
        FROM
        (
            SELECT
                series_kind,
                series_key,
                toUInt32(dateDiff('minute', start, m.minute)) AS at,
                sum(toFloat64(ifNull(m.cost_usd, 0))) AS usd,
                max(toFloat64(ifNull(m.max_call_usd, 0))) AS dearest,
                sum(toFloat64(m.calls)) AS n
            FROM {database}.series_minute(
                start = toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540, until = {to:DateTime('UTC')}) AS m
            GROUP BY series_kind, series_key, at
        )
        GROUP BY kind, key
    ),
    expected AS
    (
        SELECT
            series_kind AS kind,
            series_key AS key,
            -- per minute, by quarters of an hour
            arrayFlatten(groupArrayInsertAt([0., 0., 0., 0.], 64)(
                arrayMap(q -> q * e.seasonal_usd * greatest(e.level, 1) / 60, e.quarters), at)) AS high,
            arrayFlatten(groupArrayInsertAt([0., 0., 0., 0.], 64)(
                arrayMap(q -> q * e.seasonal_usd * least(e.level, 1) / 60, e.quarters), at)) AS low,
            max(dateDiff('hour', e.first_hour, e.hour)) AS hours_known,
            -- size of a lump in 1, 5 and 15 minutes, hour by hour
            groupArrayInsertAt((0., 0., 0.), 64)((e.burst1_usd, e.burst5_usd, e.burst15_usd), at) AS lumps,
            groupArrayInsertAt((0., 0., 0.), 64)((
                e.calls_burst1 * e.hour_call_usd, e.calls_burst5 * e.hour_call_usd, e.calls_burst15 * e.hour_call_usd
            ), at) AS calls_lumps,
            groupArrayInsertAt(0., 64)(e.hour_call_usd, at) AS a_call,
            argMax(e.usual_call_usd, e.hour) AS usual_call,
            argMax(e.max_call_usd, e.hour) AS max_call,
            argMax(e.spread1, e.hour) AS spread,
            any(t.min_z) AS min_z_long, any(t.min_z_short) AS min_z_short,
            any(t.min_ratio) AS min_ratio, any(t.min_excess_usd) AS min_excess_usd,
            any(t.min_calls) AS min_calls, any(t.out_of_scale) AS out_of_scale, any(t.drop_z) AS drop_z,
            1 / (pow(greatest(spread, any(t.min_spread)), 2)
                + pow(any(t.cold_spread) * greatest(1 - hours_known / 24 / any(t.cold_days), 0), 2)) AS size
        FROM
        (
            SELECT *, toUInt32(dateDiff('hour', hour0, hour)) AS at
            FROM {database}.series_expected FINAL
            WHERE hour >= hour0 AND hour < {to:DateTime('UTC')}
        ) AS e
        CROSS JOIN {database}.detection_thresholds AS t
        GROUP BY kind, key
        HAVING hours_known > any(t.silent_hours)
    ),
    running AS
    (
        -- Sums from the first minute on: a window is the difference of two of them.
        SELECT
            e.*,
            if(empty(m.x), arrayResize([0.], {minutes:UInt32}), m.x) AS x,
            m.dearest_x AS dearest_x,
            m.calls_x AS calls_x,
            arrayPushFront(arrayCumSum(x), 0.) AS sum_x,
            -- what so many calls usually cost
            if(empty(m.x), arrayResize([0.], {minutes:UInt32} + 1), arrayPushFront(arrayCumSum(
                arrayMap((n, i) -> n * a_call[intDiv(i + offset, 60) + 1], m.calls_x, range({minutes:UInt32}))), 0.)) AS sum_c,
            arrayPushFront(arrayCumSum(arrayMap(i -> high[intDiv(i + offset, 15) + 1], range(length))), 0.) AS sum_high,
            arrayPushFront(arrayCumSum(arrayMap(i -> low[intDiv(i + offset, 15) + 1], range(length))), 0.) AS sum_low
        FROM expected AS e
        LEFT JOIN minutes AS m ON m.kind = e.kind AND m.key = e.key
    ),
    windows AS
    (
        SELECT
            * EXCEPT (x, sum_x, sum_c, sum_high, sum_low, high, low, lumps, calls_lumps, a_call),
            width,
            if(width < 10, min_z_short, min_z_long) AS min_z,
            arrayMap(l -> multiIf(width = 1, l.1, width <= 5, l.2, l.3), lumps) AS lump_of_hour,
            -- of the hour that the window ends in, or of the one it begins in
            arrayMap(i -> greatest(lump_of_hour[intDiv(i - 1 + offset, 60) + 1],
                lump_of_hour[intDiv(i - width + offset, 60) + 1], 1e-9), range(60, length + 1)) AS window_lumps,
            arrayMap(l -> multiIf(width = 1, l.1, width <= 5, l.2, l.3), calls_lumps) AS calls_lump_of_hour,
            arrayMap(i -> greatest(calls_lump_of_hour[intDiv(i - 1 + offset, 60) + 1],
                calls_lump_of_hour[intDiv(i - width + offset, 60) + 1], 1e-9), range(60, length + 1)) AS window_calls_lumps,
            -- (last minute, actual, expected, score, lump, score of calls); a window of silence scores below zero
            arrayFilter(
                s -> s.4 >= min_z OR s.4 <= -drop_z OR s.6 >= min_z,
                arrayMap(
                    (i, lump, calls_lump, x1, x0, c1, c0, h1, h0, l1, l0) -> (
                        i, x1 - x0, if(x1 - x0 > 1e-12, h1 - h0, l1 - l0),
                        if(x1 - x0 > 1e-12,
                            if(x1 - x0 < min_ratio * (h1 - h0) OR x1 - x0 - h1 + h0 < min_excess_usd, 0.,
                                score((x1 - x0) / lump, (h1 - h0) / lump + 1, size)),
                            if(width < 5 OR i > closed, 0., -sqrt(2 * size * log(1 + (l1 - l0) / lump / size)))),
                        lump,
                        if(x1 - x0 < min_ratio * (h1 - h0) OR x1 - x0 - h1 + h0 < min_excess_usd
                            OR c1 - c0 < min_ratio * (h1 - h0), 0.,
                            score((c1 - c0) / calls_lump, (h1 - h0) / calls_lump + 0.3, size))
                    ),
                    range(60, length + 1), window_lumps, window_calls_lumps,
                    arraySlice(sum_x, 61), arraySlice(sum_x, 61 - width, length - 59),
                    arraySlice(sum_c, 61), arraySlice(sum_c, 61 - width, length - 59),
                    arraySlice(sum_high, 61), arraySlice(sum_high, 61 - width, length - 59),
                    arraySlice(sum_low, 61), arraySlice(sum_low, 61 - width, length - 59)
                )
            ) AS found
        FROM running
        ARRAY JOIN [1, 2, 3, 5, 10, 15, 30, 60] AS width
    ),
    judged AS
    (
        SELECT
            kind, key, width,
            start + (s.1 - 1) * 60 AS minute,
            s.2 AS actual,
            s.3 AS expected_usd,
            arrayMax(arraySlice(dearest_x, s.1 - width + 1, width)) AS dearest,
            arraySum(arraySlice(calls_x, s.1 - width + 1, width)) AS n_calls,
            dearest >= out_of_scale * max_call AND max_call > 0 AS is_out_of_scale,
            -- one dear call is no rise: the dearest counts like a usual one, unless it is out of scale
            if(is_out_of_scale, actual, actual - dearest + least(dearest, usual_call)) AS trimmed,
            if(s.4 < 0, s.4,
                if(n_calls < min_calls AND NOT is_out_of_scale, 0,
                    greatest(s.6, if(trimmed < min_ratio * expected_usd, 0, score(trimmed / s.5, expected_usd / s.5 + 1, size))))) AS z,
            min_z, drop_z
        FROM windows
        ARRAY JOIN found AS s
    )
SELECT
    toStartOfHour(minute, 'UTC') AS hour,
    kind,
    key,
    if(z > 0, 'spend_rise', 'spend_drop') AS detector,
    if(z > 0, 'rise', 'drop') AS direction,
    min(minute) AS first_minute,
    max(minute) AS last_minute,
    min(width) AS window_minutes,
    max(abs(z)) AS max_z,
    max(if(z > 0, actual / greatest(expected_usd, 1e-9), 0)) AS ratio,
    max(actual) AS actual_usd,
    argMax(expected_usd, abs(actual - expected_usd)) AS expected_usd_of,
    max(abs(actual - expected_usd)) AS excess_usd
FROM judged
WHERE z >= min_z OR z <= -drop_z
GROUP BY hour, kind, key, detector, direction;
