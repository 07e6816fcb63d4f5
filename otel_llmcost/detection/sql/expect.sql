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
     burst1_usd, burst5_usd, burst15_usd, usual_call_usd, max_call_usd, hour_call_usd,
     calls_burst1, calls_burst5, calls_burst15)
WITH
    -- 37 days: those of the spread, those an hour of them is expected from, and two to start with.
    toDate({from:DateTime('UTC')}) - 37 AS day0,
    toDateTime(day0, 'UTC') AS hour0,
    toUInt32(dateDiff('hour', hour0, {from:DateTime('UTC')})) AS first_target,
    history AS
    (
        SELECT
            series_kind, series_key,
            cityHash64(toString(series_kind), series_key) AS id,
            hour, calls, cost_usd, max_call_usd, quarters_usd,
            toUInt32(dateDiff('day', day0, toDate(hour))) AS day,
            toHour(hour) AS hod,
            greatest(sq1 / cost_usd - cost_usd / 60, 0) AS lump1,
            greatest(sq5 / cost_usd - cost_usd / 12, 0) AS lump5,
            greatest(arraySum(q -> q * q, quarters_usd) / cost_usd - cost_usd / 4, 0) AS lump15,
            -- as multiples of a call; hours without such sums have the lumps of their cost
            if(calls_sq1 > 0, greatest(calls_sq1 / calls - calls / 60, 0), lump1 * calls / cost_usd) AS calls_lump1,
            if(calls_sq1 > 0, greatest(calls_sq5 / calls - calls / 12, 0), lump5 * calls / cost_usd) AS calls_lump5,
            if(calls_sq1 > 0, greatest(calls_sq15 / calls - calls / 4, 0), lump15 * calls / cost_usd) AS calls_lump15,
            hour < {from:DateTime('UTC')} - 3600 AS is_known,
            is_known AND cost_usd > 0 AND hour >= {from:DateTime('UTC')} - 14 * 86400 AS is_recent
        FROM {database}.series_hour FINAL
        WHERE hour >= hour0 AND hour < {to:DateTime('UTC')}
    ),
    series AS
    (
        -- Bursts and sizes, of what is known when the first of the hours begins.
        SELECT
            id, any(series_kind) AS kind, any(series_key) AS key,
            toUInt32(dateDiff('hour', hour0, min(hour))) AS first_at,
            sum(cost_usd) / greatest(sumIf(calls, cost_usd > 0), 1) AS usual_call,
            maxIf(max_call_usd, is_known) AS max_call,
            greatest(ifNotFinite(quantileIf(0.75)(lump1, is_recent), 0), usual_call / 2, 1e-9) AS burst1,
            greatest(ifNotFinite(quantileIf(0.75)(lump5, is_recent), 0), usual_call / 2, 1e-9) AS burst5,
            greatest(ifNotFinite(quantileIf(0.75)(lump15, is_recent), 0), usual_call / 2, 1e-9) AS burst15,
            greatest(ifNotFinite(quantileIf(0.75)(calls_lump1, is_recent), 0), 1) AS calls_burst1,
            greatest(ifNotFinite(quantileIf(0.75)(calls_lump5, is_recent), 0), 1) AS calls_burst5,
            greatest(ifNotFinite(quantileIf(0.75)(calls_lump15, is_recent), 0), 1) AS calls_burst15
        FROM history
        GROUP BY id
    ),
    days AS
    (
        -- For a day, the days of the same kind in the 21 before it.
        SELECT
            arrayJoin(range(toUInt32(23), toUInt32(dateDiff('day', day0, toDate({to:DateTime('UTC')} - 1))) + 1)) AS day,
            arrayFilter(d -> (toDayOfWeek(day0 + d) >= 6) = (toDayOfWeek(day0 + day) >= 6), range(toUInt32(day - 21), toUInt32(day))) AS alike
    ),
    hours_of_day AS
    (
        SELECT id, hod, groupArrayInsertAt(0., 64)(cost_usd, day) AS usd
        FROM history
        WHERE cost_usd > 0
        GROUP BY id, hod
    ),
    seasonal AS
    (
        SELECT
            g.id AS id, s.kind = 'total' AS is_total, s.first_at AS first_at, s.burst15 AS lump,
            d.day * 24 + g.hod AS at,
            g.usd[d.day + 1] AS x,
            arraySort(arrayMap(like_day -> g.usd[like_day + 1],
                arrayFilter(like_day -> like_day * 24 + g.hod >= first_at, d.alike))) AS sorted,
            length(sorted) AS days_known,
            intDiv(days_known, 5) AS cut,
            if(days_known >= 3, arrayAvg(arraySlice(sorted, cut + 1, days_known - 2 * cut)), NULL) AS own
        FROM
        (
            -- an hour of the day that never cost anything has an empty list
            SELECT id, hod, argMax(list, length(list)) AS usd
            FROM
            (
                SELECT id, hod, usd AS list FROM hours_of_day
                UNION ALL
                SELECT id, arrayJoin(range(toUInt8(24))) AS hod, [] AS list FROM series
            )
            GROUP BY id, hod
        ) AS g
        INNER JOIN series AS s ON s.id = g.id
        CROSS JOIN days AS d
        WHERE at >= s.first_at
    ),
    shape AS
    (
        SELECT at, if(avg(own) OVER w > 0, own / avg(own) OVER w, 1) AS factor
        FROM (SELECT at, own, intDiv(at, 24) AS day FROM seasonal WHERE is_total AND own IS NOT NULL)
        WINDOW w AS (PARTITION BY day)
    ),
    based AS
    (
        SELECT
            s.id AS id, s.at AS at, s.first_at AS first_at, s.lump AS lump, s.x AS x, s.days_known AS days_known,
            sum(x) OVER past / greatest(count() OVER past, 1) AS mean_so_far,
            if(s.own IS NOT NULL, s.own, mean_so_far * if(h.factor > 0, h.factor, 1)) AS base
        FROM (SELECT id, at, first_at, lump, x, days_known, own FROM seasonal) AS s
        LEFT JOIN shape AS h ON h.at = s.at
        WINDOW past AS (PARTITION BY id ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)
    ),
    levelled AS
    (
        SELECT
            *,
            4 * lump AS prior,
            (sum(x) OVER b1 + prior) / (sum(base) OVER b1 + prior) AS l1,
            (sum(x) OVER b2 + prior) / (sum(base) OVER b2 + prior) AS l2,
            (sum(x) OVER b3 + prior) / (sum(base) OVER b3 + prior) AS l3,
            greatest(least(l1, l2), least(greatest(l1, l2), l3)) AS level,
            base * greatest(level, 1) AS expected
        FROM based
        WINDOW
            b1 AS (PARTITION BY id ORDER BY at ROWS BETWEEN 9 PRECEDING AND 2 PRECEDING),
            b2 AS (PARTITION BY id ORDER BY at ROWS BETWEEN 17 PRECEDING AND 10 PRECEDING),
            b3 AS (PARTITION BY id ORDER BY at ROWS BETWEEN 25 PRECEDING AND 18 PRECEDING)
    ),
    frozen AS
    (
        -- What the level of a day ago makes of an hour.
        SELECT
            id, at, first_at, lump, x, days_known, base, prior, level, expected,
            base * greatest(lagInFrame(level, 24, 1.) OVER (PARTITION BY id ORDER BY at), 1) AS frozen
        FROM levelled
    ),
    judged AS
    (
        SELECT
            *,
            log((x + prior) / (expected + prior)) AS off1,
            sum(expected) OVER w6 AS expected6,
            log((sum(x) OVER w6 + prior) / (expected6 + prior)) AS off6,
            log((sum(x) OVER w24 + prior) / (sum(frozen) OVER w24 + prior)) AS off24,
            at < first_target - 1 AND at >= first_at + 24 AND at >= first_target - 14 * 24 AS is_learned
        FROM frozen
        WINDOW
            w6 AS (PARTITION BY id ORDER BY at ROWS BETWEEN 5 PRECEDING AND CURRENT ROW),
            w24 AS (PARTITION BY id ORDER BY at ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
    ),
    spreads AS
    (
        -- 85 of 100 are under 1.04 standard deviations, so faults of two days do not count; what few lumps explain by
        -- themselves is taken off. The hours to be told come along.
        SELECT
            id,
            sqrt(greatest(pow(quantileIf(0.85)(off1, is_learned) / 1.0364, 2)
                - quantileIf(0.5)(lump / (expected + prior), is_learned), 0)) AS spread1,
            sqrt(greatest(pow(quantileIf(0.85)(off6, is_learned) / 1.0364, 2)
                - quantileIf(0.5)(lump / (expected6 + prior), is_learned), 0)) AS spread6,
            greatest(quantileIf(0.85)(off24, is_learned) / 1.0364, 0) AS spread24,
            arrayJoin(groupArrayIf((at, days_known, base, level), at >= first_target)) AS told
        FROM judged
        GROUP BY id
    ),
    hours_told AS
    (
        SELECT hour0 + arrayJoin(range(first_target, toUInt32(dateDiff('hour', hour0, {to:DateTime('UTC')})))) * 3600 AS hour
    ),
    slots AS
    (
        -- How the same hours of the like days were spread: a batch that runs at this hour is no surprise in any minute
        -- of it. A day counts for no more than the median of them.
        SELECT
            id, at,
            quantileExact(0.5)(lump1) AS slot1, quantileExact(0.5)(lump5) AS slot5, quantileExact(0.5)(lump15) AS slot15,
            quantileExact(0.5)(calls_lump1) AS calls_slot1, quantileExact(0.5)(calls_lump5) AS calls_slot5,
            quantileExact(0.5)(calls_lump15) AS calls_slot15,
            quantileExact(0.5)(cost_usd / calls) AS slot_call,
            arrayReduce('median', groupArray(cost_usd) AS costs) AS middle,
            arrayReduce('sumForEach',
                arrayMap((q, c) -> arrayMap(one -> one * least(1, middle / c), q), groupArray(quarters_usd), costs)) AS sums
        FROM
        (
            SELECT h.id AS id, h.cost_usd AS cost_usd, h.quarters_usd AS quarters_usd, h.lump1 AS lump1, h.lump5 AS lump5,
                h.lump15 AS lump15, h.calls AS calls, h.calls_lump1 AS calls_lump1, h.calls_lump5 AS calls_lump5,
                h.calls_lump15 AS calls_lump15, d.day * 24 + h.hod AS at
            FROM history AS h
            INNER JOIN (SELECT day, arrayJoin(alike) AS like_day FROM days WHERE day * 24 + 24 > first_target) AS d
                ON d.like_day = h.day
            WHERE h.cost_usd > 0 AND h.hod IN (SELECT toHour(hour) FROM hours_told)
        )
        WHERE at >= first_target
        GROUP BY id, at
    )
SELECT
    s.kind, s.key, hour0 + r.told.1 * 3600 AS hour, hour0 + s.first_at * 3600, r.told.2, r.told.3,
    -- few lumps say little of how they are spread
    arrayMap(i -> if(empty(p.sums), 1., 4 * (p.sums[i] + 5 * s.burst15) / (arraySum(p.sums) + 20 * s.burst15)), [1, 2, 3, 4]),
    r.told.4,
    ifNotFinite(r.spread1, 0), ifNotFinite(r.spread6, 0), ifNotFinite(r.spread24, 0),
    greatest(s.burst1, p.slot1), greatest(s.burst5, p.slot5), greatest(s.burst15, p.slot15),
    s.usual_call, s.max_call, if(p.slot_call > 0, p.slot_call, s.usual_call),
    greatest(s.calls_burst1, p.calls_slot1), greatest(s.calls_burst5, p.calls_slot5),
    greatest(s.calls_burst15, p.calls_slot15)
FROM spreads AS r
INNER JOIN series AS s ON s.id = r.id
LEFT JOIN slots AS p ON p.id = r.id AND p.at = r.told.1;
