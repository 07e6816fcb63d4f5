-- Has a series grown slowly, where no hour stands out? Judges every midnight (UTC) in [from, to]: the week before it
-- against the week before that, beyond the growth that was usual in the two weeks before. Only where nothing else was
-- said of the series in the last 9 days: a jump is a shift, told once. Detector spend_drift.
INSERT INTO {database}.anomaly_signals
WITH
    midnights AS
    (
        SELECT arrayJoin(arrayMap(d -> toDate({from:DateTime('UTC')}) + d,
            range(toUInt32(dateDiff('day', {from:DateTime('UTC')}, {to:DateTime('UTC')})) + 1))) AS midnight
        WHERE toDateTime(midnight, 'UTC') >= {from:DateTime('UTC')} AND toDateTime(midnight, 'UTC') <= {to:DateTime('UTC')}
    ),
    days AS
    (
        SELECT series_kind AS kind, series_key AS key, toDate(hour) AS day, sum(cost_usd) AS usd
        FROM {database}.series_hour FINAL
        WHERE hour >= {from:DateTime('UTC')} - 29 * 86400 AND hour < {to:DateTime('UTC')}
        GROUP BY kind, key, day
    ),
    weeks AS
    (
        SELECT
            midnight, kind, key,
            sumIf(usd, dateDiff('day', day, midnight) BETWEEN 1 AND 7) AS w0,
            sumIf(usd, dateDiff('day', day, midnight) BETWEEN 8 AND 14) AS w1,
            sumIf(usd, dateDiff('day', day, midnight) BETWEEN 15 AND 21) AS w2,
            sumIf(usd, dateDiff('day', day, midnight) BETWEEN 22 AND 28) AS w3,
            min(day) AS first_day,
            countIf(dateDiff('day', day, midnight) BETWEEN 1 AND 7) AS days_seen
        FROM midnights CROSS JOIN days
        GROUP BY midnight, kind, key
    ),
    judged AS
    (
        SELECT
            w.midnight AS midnight, w.kind AS kind, w.key AS key, w.w0 AS w0, w.w1 AS w1,
            t.drift_ratio AS drift_ratio, t.drift_z AS drift_z, t.min_excess_usd AS min_excess_usd,
            greatest(least(log(w.w1 / w.w2), log(w.w2 / w.w3)), 0) AS usual_growth,
            log(w.w0 / w.w1) - usual_growth AS growth,
            -- an error of a day's sum, a seventh of its variance in a week's; both weeks have one
            sqrt(2. / 7 * pow(greatest(e.spread, t.min_spread), 2) + 2 * e.lump / w.w1) AS error,
            growth / error AS z
        FROM weeks AS w
        INNER JOIN
        (
            SELECT series_kind AS kind, series_key AS key, argMax(spread24, hour) AS spread,
                argMax(burst15_usd, hour) AS lump
            FROM {database}.series_expected FINAL
            WHERE hour >= {from:DateTime('UTC')} - 86400 AND hour < {to:DateTime('UTC')}
            GROUP BY kind, key
        ) AS e ON e.kind = w.kind AND e.key = w.key
        CROSS JOIN {database}.detection_thresholds AS t
        WHERE dateDiff('day', first_day, midnight) >= 28 AND w.w0 > 0 AND w.w1 > 0 AND w.w2 > 0 AND w.w3 > 0 AND days_seen = 7
    )
SELECT
    toDateTime(midnight, 'UTC') - 3600 AS hour,
    kind, key,
    'spend_drift' AS detector,
    'rise' AS direction,
    hour + 3540, hour + 3540,
    toUInt32(10080),
    z,
    exp(growth),
    w0 / 168,
    w1 * exp(usual_growth) / 168,
    (w0 - w1 * exp(usual_growth)) / 168
FROM judged
WHERE growth >= log(drift_ratio) AND z >= drift_z AND w0 - w1 * exp(usual_growth) >= min_excess_usd
AND (kind, key, midnight) NOT IN
(
    SELECT s.series_kind, s.series_key, m.midnight
    FROM {database}.anomaly_signals AS s CROSS JOIN midnights AS m
    WHERE s.direction = 'rise' AND s.detector IN ('spend_rise', 'spend_shift')
    AND s.hour >= toDateTime(m.midnight, 'UTC') - 9 * 86400 AND s.hour < toDateTime(m.midnight, 'UTC')
);
