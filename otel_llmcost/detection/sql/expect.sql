-- What every series is expected to cost in each hour of [from, to), into series_expected.
--
-- 1. seasonal: the middle of what the same hour of the same kind of day (weekday, weekend; UTC) cost in the last 21
--    days, the dearest and the cheapest fifth left out. Under 3 such days: the series' own mean so far, in the daily
--    shape of the total. quarters: how such hours were spread over their 15 minutes, for a batch on the hour.
-- 2. level: the last 24 hours against their seasonal expectation, as the median of three blocks of 8 hours. So a fault
--    of a few hours does not move it, growth is followed, and a level that stays is taken over within a day.
-- 3. spread: how far such expectations were off in the last 14 days (85 of 100 hours, beyond what few calls explain).
-- 4. burst: cost comes in lumps (a call, a session, a batch). variance / mean of the cost of 1, 5 and 15 minutes is the
--    size of such a lump: the more and the smaller they are, the surer a sum is.
--
-- An hour is judged by hours that closed at least an hour before it began, so it does not matter when within that hour
-- this runs.
INSERT INTO {database}.series_expected
    (series_kind, series_key, hour, first_hour, days_known, seasonal_usd, quarters, level, spread1, spread6, spread24,
     burst1_usd, burst5_usd, burst15_usd, usual_call_usd, max_call_usd)
WITH
    toDate({from:DateTime('UTC')}) - 37 AS day0,
    14 AS spread_days,
    21 AS history_days,
    dateDiff('day', day0, toDate({to:DateTime('UTC')} - 1)) + 1 AS days,
    history AS
    (
        SELECT
            *,
            arraySum(q -> q * q, quarters_usd) AS sq15,
            dateDiff('day', day0, toDate(hour)) AS day,
            toHour(hour) AS hod
        FROM {database}.series_hour FINAL
        WHERE hour >= toDateTime(day0, 'UTC') AND hour < {to:DateTime('UTC')}
    ),
    per_series AS
    (
        -- Bursts and sizes, of what is known when the first of the hours begins.
        SELECT
            series_kind AS kind,
            series_key AS key,
            min(hour) AS first_hour,
            quantileIf(0.75)(greatest(sq1 / cost_usd - cost_usd / 60, 0), recent) AS burst1,
            quantileIf(0.75)(greatest(sq5 / cost_usd - cost_usd / 12, 0), recent) AS burst5,
            quantileIf(0.75)(greatest(sq15 / cost_usd - cost_usd / 4, 0), recent) AS burst15,
            sumIf(cost_usd, cost_usd > 0) / greatest(sumIf(calls, cost_usd > 0), 1) AS usual_call,
            maxIf(max_call_usd, hour < {from:DateTime('UTC')} - 3600) AS max_call
        FROM (SELECT *, cost_usd > 0 AND hour >= {from:DateTime('UTC')} - 14 * 86400
                         AND hour < {from:DateTime('UTC')} - 3600 AS recent FROM history)
        GROUP BY kind, key
    ),
    hours_of_day AS
    (
        SELECT
            series_kind AS kind,
            series_key AS key,
            hod,
            groupArrayInsertAt(0., 64)(cost_usd, toUInt32(day)) AS x,
            groupArrayInsertAt((0., 0., 0.), 64)((
                greatest(sq1 / cost_usd - cost_usd / 60, 0),
                greatest(sq5 / cost_usd - cost_usd / 12, 0),
                greatest(sq15 / cost_usd - cost_usd / 4, 0)
            ), toUInt32(day)) AS lumps,
            groupArrayInsertAt([0., 0., 0., 0.], 64)(quarters_usd, toUInt32(day)) AS quarters
        FROM history
        WHERE cost_usd > 0
        GROUP BY kind, key, hod
    ),
    grid AS
    (
        SELECT kind, key, hod, first_hour, burst1, burst5, burst15, usual_call, max_call
        FROM per_series CROSS JOIN (SELECT arrayJoin(range(24)) AS hod) AS h
    ),
    seasonal AS
    (
        SELECT
            g.kind AS kind, g.key AS key, g.first_hour AS first_hour,
            g.burst1 AS burst1, g.burst5 AS burst5, g.burst15 AS burst15,
            g.usual_call AS usual_call, g.max_call AS max_call,
            toDateTime(day0, 'UTC') + (target * 24 + g.hod) * 3600 AS hour,
            if(empty(h.x), arrayResize([0.], 64), h.x) AS xs,
            xs[target + 1] AS x,
            -- days of the same kind before this one, since the series is known
            arrayFilter(
                d -> (toDayOfWeek(day0 + d) >= 6) = (toDayOfWeek(day0 + target) >= 6)
                    AND toDateTime(day0, 'UTC') + (d * 24 + g.hod) * 3600 >= first_hour,
                range(greatest(target - history_days, 0), target)
            ) AS same_days,
            arraySort(arrayMap(d -> xs[d + 1], same_days)) AS sorted,
            intDiv(length(sorted), 5) AS cut,
            if(length(sorted) >= 3, arrayAvg(arraySlice(sorted, cut + 1, length(sorted) - 2 * cut)), NULL) AS own_usd,
            length(sorted) AS days_known,
            -- a batch that runs at this hour is no surprise in any minute of it
            if(empty(h.lumps), arrayResize([(0., 0., 0.)], 64), h.lumps) AS lumps,
            -- a day counts for no more than it usually costs
            arrayMap(d -> (if(xs[d + 1] > 0, least(ifNull(own_usd, 0) / xs[d + 1], 1), 0), d), same_days) AS weights,
            arrayMap(
                i -> if(empty(h.quarters), 0., arraySum(w -> w.1 * h.quarters[w.2 + 1][i], weights)), [1, 2, 3, 4]
            ) AS quarter_sums,
            arrayReduce('quantile(0.5)', arrayMap(d -> lumps[d + 1].1, same_days)) AS slot1,
            arrayReduce('quantile(0.5)', arrayMap(d -> lumps[d + 1].2, same_days)) AS slot5,
            arrayReduce('quantile(0.5)', arrayMap(d -> lumps[d + 1].3, same_days)) AS slot15
        FROM grid AS g
        LEFT JOIN hours_of_day AS h ON h.kind = g.kind AND h.key = g.key AND h.hod = g.hod
        ARRAY JOIN range(toUInt32(37 - spread_days), toUInt32(days)) AS target
    ),
    shape AS
    (
        SELECT hour AS shape_hour, if(avg(own_usd) OVER day > 0, own_usd / avg(own_usd) OVER day, 1) AS factor
        FROM seasonal
        WHERE kind = 'total' AND own_usd IS NOT NULL
        WINDOW day AS (PARTITION BY toDate(hour))
    ),
    based AS
    (
        SELECT
            s.* EXCEPT (xs, same_days, sorted, cut, own_usd, lumps, weights),
            greatest(ifNotFinite(burst15, 0), ifNotFinite(slot15, 0), usual_call * 0.5, 1e-9) AS lump,
            sum(x) OVER past / greatest(count() OVER past, 1) AS mean_usd,
            if(own_usd IS NOT NULL, own_usd, mean_usd * if(s2.factor > 0, s2.factor, 1)) AS base
        FROM seasonal AS s
        LEFT JOIN shape AS s2 ON s2.shape_hour = s.hour
        WHERE hour >= first_hour
        WINDOW past AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)
    ),
    levelled AS
    (
        SELECT
            *,
            4 * lump AS prior,
            (sum(x) OVER b1 + prior) / (sum(base) OVER b1 + prior) AS l1,
            (sum(x) OVER b2 + prior) / (sum(base) OVER b2 + prior) AS l2,
            (sum(x) OVER b3 + prior) / (sum(base) OVER b3 + prior) AS l3,
            arraySort([l1, l2, l3])[2] AS level,
            base * greatest(level, 1) AS expected
        FROM based
        WINDOW
            b1 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 9 PRECEDING AND 2 PRECEDING),
            b2 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 17 PRECEDING AND 10 PRECEDING),
            b3 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 25 PRECEDING AND 18 PRECEDING)
    ),
    frozen AS
    (
        -- What the level of a day ago makes of an hour.
        SELECT *, base * greatest(lagInFrame(level, 24, 1.) OVER (PARTITION BY kind, key ORDER BY hour), 1) AS frozen
        FROM levelled
    ),
    judged AS
    (
        SELECT
            *,
            (x + prior) / (expected + prior) AS r1,
            (sum(x) OVER w6 + prior) / (sum(expected) OVER w6 + prior) AS r6,
            (sum(x) OVER w24 + prior) / (sum(frozen) OVER w24 + prior) AS r24,
            sum(expected) OVER w6 AS expected6
        FROM frozen
        WINDOW
            w6 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 5 PRECEDING AND CURRENT ROW),
            w24 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
    ),
    spreads AS
    (
        -- 85 of 100 are under 1.04 standard deviations, so faults of two days do not count; what few lumps explain by
        -- themselves is taken off.
        SELECT
            kind, key,
            sqrt(greatest(pow(quantileIf(0.85)(log(r1), known) / 1.0364, 2)
                - quantileIf(0.5)(lump / (expected + prior), known), 0)) AS spread1,
            sqrt(greatest(pow(quantileIf(0.85)(log(r6), known) / 1.0364, 2)
                - quantileIf(0.5)(lump / (expected6 + prior), known), 0)) AS spread6,
            greatest(quantileIf(0.85)(log(r24), known) / 1.0364, 0) AS spread24
        FROM (SELECT *, hour < {from:DateTime('UTC')} - 3600 AND hour >= first_hour + 86400 AS known FROM judged)
        GROUP BY kind, key
    )
SELECT
    j.kind, j.key, j.hour, j.first_hour, j.days_known, j.base,
    -- few lumps say little of how they are spread
    arrayMap(q -> 4 * (q + 5 * j.lump) / (arraySum(j.quarter_sums) + 20 * j.lump), j.quarter_sums),
    j.level,
    ifNotFinite(s.spread1, 0), ifNotFinite(s.spread6, 0), ifNotFinite(s.spread24, 0),
    greatest(ifNotFinite(j.burst1, 0), ifNotFinite(j.slot1, 0), j.usual_call * 0.5, 1e-9),
    greatest(ifNotFinite(j.burst5, 0), ifNotFinite(j.slot5, 0), j.usual_call * 0.5, 1e-9),
    greatest(ifNotFinite(j.burst15, 0), ifNotFinite(j.slot15, 0), j.usual_call * 0.5, 1e-9),
    j.usual_call, j.max_call
FROM judged AS j
INNER JOIN spreads AS s ON s.kind = j.kind AND s.key = j.key
WHERE j.hour >= {from:DateTime('UTC')} AND j.hour < {to:DateTime('UTC')};
