-- Is a series off for longer than minutes show? Judges every full hour of [from, to), into anomaly_signals.
--   spend_shift  6 and 24 hours against what they were expected to cost (24: by the level of the day before them)
--   spend_drop   6 and 24 hours of silence, for series too sparse for minutes to tell
-- The score is that of spend.sql.
INSERT INTO {database}.anomaly_signals
WITH
    {{score}},
    hours AS
    (
        SELECT
            e.series_kind AS kind, e.series_key AS key, e.hour AS hour,
            dateDiff('hour', e.first_hour, e.hour) AS hours_known,
            e.seasonal_usd AS seasonal, e.level AS level, e.spread6 AS spread6, e.spread24 AS spread24,
            e.burst15_usd AS lump, e.usual_call_usd AS usual_call, e.max_call_usd AS max_call,
            h.cost_usd AS x, h.max_call_usd AS dearest, h.calls AS n_calls
        FROM (SELECT * FROM {database}.series_expected FINAL
              WHERE hour >= {from:DateTime('UTC')} - 172800 AND hour < {to:DateTime('UTC')}) AS e
        LEFT JOIN (SELECT * FROM {database}.series_hour FINAL
              WHERE hour >= {from:DateTime('UTC')} - 172800 AND hour < {to:DateTime('UTC')}) AS h
            ON h.series_kind = e.series_kind AND h.series_key = e.series_key AND h.hour = e.hour
    ),
    sums AS
    (
        SELECT
            *,
            [
                (6, sum(x) OVER w6, sum(seasonal * greatest(level, 1)) OVER w6,
                    sum(seasonal * least(level, 1)) OVER w6, max(dearest) OVER w6, sum(n_calls) OVER w6, spread6,
                    sum(x) OVER w2, sum(seasonal * greatest(level, 1)) OVER w2),
                (24, sum(x) OVER w24, sum(frozen) OVER w24,
                    sum(seasonal * least(level, 1)) OVER w24, max(dearest) OVER w24, sum(n_calls) OVER w24, spread24,
                    sum(x) OVER w8, sum(frozen) OVER w8)
            ] AS windows
        FROM
        (
            -- What the level of a day ago makes of an hour.
            SELECT *, seasonal * greatest(lagInFrame(level, 24, 1.) OVER (PARTITION BY kind, key ORDER BY hour), 1)
                AS frozen
            FROM hours
        )
        WINDOW
            w2 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 1 PRECEDING AND CURRENT ROW),
            w6 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 5 PRECEDING AND CURRENT ROW),
            w8 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 7 PRECEDING AND CURRENT ROW),
            w24 AS (PARTITION BY kind, key ORDER BY hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
    ),
    judged AS
    (
        SELECT
            s.kind AS kind, s.key AS key, s.hour AS hour,
            w.1 AS width, w.2 AS actual, w.3 AS high, w.4 AS low, w.5 AS dearest, w.6 AS window_calls,
            t.shift_z AS shift_z, t.drop_z AS drop_z,
            1 / (pow(greatest(w.7, t.min_spread), 2)
                + pow(t.cold_spread * greatest(1 - s.hours_known / 24 / t.cold_days, 0), 2)) AS size,
            dearest >= t.out_of_scale * s.max_call AND s.max_call > 0 AS is_out_of_scale,
            if(is_out_of_scale, actual, actual - dearest + least(dearest, s.usual_call)) AS trimmed,
            multiIf(
                actual <= 1e-12, -sqrt(2 * size * log(1 + low / s.lump / size)),
                trimmed < t.min_ratio * high OR actual - high < t.min_excess_usd, 0,
                window_calls < t.min_calls AND NOT is_out_of_scale, 0,
                -- what is over is no shift: the last third must still be dear
                w.8 < (1 + t.min_ratio) / 2 * w.9, 0,
                score(trimmed / s.lump, high / s.lump + 1, size)
            ) AS z
        FROM sums AS s
        ARRAY JOIN s.windows AS w
        CROSS JOIN {database}.detection_thresholds AS t
        WHERE s.hour >= {from:DateTime('UTC')} AND s.hours_known >= t.silent_hours + w.1
    )
SELECT
    hour,
    kind,
    key,
    if(z > 0, 'spend_shift', 'spend_drop') AS detector,
    if(z > 0, 'rise', 'drop') AS direction,
    hour + 3540 AS first_minute,
    hour + 3540 AS last_minute,
    min(width) * 60 AS window_minutes,
    max(abs(z)) AS max_z,
    max(if(z > 0, actual / greatest(high, 1e-9), 0)) AS ratio,
    max(actual / width) AS actual_usd,
    max(if(z > 0, high, low) / width) AS expected_usd,
    max(abs(actual - if(z > 0, high, low)) / width) AS excess_usd
FROM judged
WHERE z >= shift_z OR z <= -drop_z
GROUP BY hour, kind, key, detector, direction;
