-- Signals of one series and direction that belong together.
CREATE OR REPLACE VIEW {database}.anomaly_runs AS
WITH
    signals AS
    (
        SELECT
            hour, series_kind AS kind, series_key AS key, detector, direction,
            min(s.first_minute) AS first, max(s.last_minute) AS last, min(s.window_minutes) AS window,
            max(s.z) AS z, max(s.ratio) AS ratio,
            max(s.actual_usd) AS actual, max(s.expected_usd) AS expected, max(s.excess_usd) AS excess
        FROM {database}.anomaly_signals AS s
        GROUP BY hour, kind, key, detector, direction
    ),
    hourly AS
    (
        SELECT
            hour, kind, key, direction,
            min(signals.first) AS first, max(signals.last) AS last,
            max(if(detector = 'spend_drift', window * 60, 0)) AS reach,
            groupUniqArray(detector) AS detectors,
            max(signals.z) AS z, argMax(signals.ratio, signals.excess) AS ratio,
            argMax(signals.actual, signals.excess) AS actual, argMax(signals.expected, signals.excess) AS expected,
            max(signals.excess) AS excess
        FROM signals
        GROUP BY hour, kind, key, direction
    ),
    marked AS
    (
        SELECT
            *,
            lagInFrame(last, 1, toDateTime(0, 'UTC')) OVER w AS before,
            lagInFrame(reach, 1, 0) OVER w AS reach_before,
            first > before + greatest(toFloat64(reach), toFloat64(reach_before), 60 * t.gap_minutes) AS is_new
        FROM hourly CROSS JOIN {database}.detection_thresholds AS t
        WINDOW w AS (PARTITION BY kind, key, direction ORDER BY hour)
    ),
    numbered AS
    (
        SELECT *, sum(is_new) OVER (PARTITION BY kind, key, direction ORDER BY hour) AS number FROM marked
    )
SELECT
    kind, key, direction, number,
    min(numbered.first) AS started, max(numbered.last) AS last_seen,
    arraySort(groupUniqArrayArray(numbered.detectors)) AS detectors,
    max(numbered.z) AS z,
    argMax(numbered.ratio, numbered.excess) AS steepness,
    argMax(numbered.actual, numbered.excess) AS peak_actual,
    argMax(numbered.expected, numbered.excess) AS peak_expected,
    max(numbered.excess) AS peak_excess,
    sum(numbered.excess) AS total_excess,
    any(carry) AS carry_share
FROM numbered
GROUP BY kind, key, direction, number;

-- One row per cause: what people read, in dashboards, alerts and `otel-llmcost anomalies list`.
--
-- Signals of a series that follow each other within gap_minutes (or within the window they speak of) are one run. Runs
-- that share their excess are one anomaly: `carry` says how much of it must be shared. It is named after the series
-- that rises most steeply among those that carry the excess, so after the feature rather than its team, and after the
-- model where a price rose in all teams. Its id is that of its earliest run, so it stays when a better name is found.
--
-- What stands in several places below is a scalar: it is planned and computed once a query. As a name for a query it was
-- planned where it stands, which took half a second.
CREATE OR REPLACE VIEW {database}.anomalies AS
WITH
    (
        SELECT groupArray((kind, key, direction, number, started, last_seen, detectors,
            z, steepness, peak_actual, peak_expected, peak_excess, total_excess, carry_share))
        FROM {database}.anomaly_runs
    ) AS all_runs,
    runs AS
    (
        SELECT
            r.1 AS kind, r.2 AS key, r.3 AS direction, r.4 AS number, r.5 AS started, r.6 AS last_seen, r.7 AS detectors,
            r.8 AS z, r.9 AS steepness, r.10 AS peak_actual, r.11 AS peak_expected, r.12 AS peak_excess,
            r.13 AS total_excess, r.14 AS carry_share
        FROM (SELECT arrayJoin(all_runs) AS r)
    ),
    pairs AS
    (
        -- How much of the excess of run a lies in run b.
        SELECT
            (a.kind, a.key, a.direction, a.number) AS run,
            (b.kind, b.key, b.direction, b.number) AS other,
            any(a.peak_excess) AS excess, any(b.peak_excess) AS other_excess,
            any(if(a.direction = 'rise', a.peak_excess / greatest(a.peak_expected, 1e-9), 1)) AS rise,
            any(if(b.direction = 'rise', b.peak_excess / greatest(b.peak_expected, 1e-9), 1)) AS other_rise,
            any(a.carry_share) AS carry_of,
            least(if(any(a.direction) = 'rise', max(l.cost_usd), max(l.share) * excess), excess, other_excess) AS shared
        FROM runs AS a
        INNER JOIN {database}.anomaly_links AS l
            ON l.series_kind = a.kind AND l.series_key = a.key AND l.direction = a.direction
        INNER JOIN runs AS b
            ON b.kind = l.other_kind AND b.key = l.other_key AND b.direction = l.direction
        WHERE l.hour BETWEEN toStartOfHour(a.started, 'UTC') AND a.last_seen
        AND l.hour BETWEEN toStartOfHour(b.started, 'UTC') AND b.last_seen
        GROUP BY run, other
    ),
    candidates AS
    (
        SELECT run, other, excess, other_excess, rise, other_rise, shared, carry_of FROM pairs
        UNION ALL
        SELECT (kind, key, direction, number) AS run, run AS other, peak_excess, peak_excess,
            if(direction = 'rise', peak_excess / greatest(peak_expected, 1e-9), 1) AS rise, rise, peak_excess, carry_share
        FROM runs
    ),
    named AS
    (
        -- Of those that hold its excess, the steep ones; of these, those with most of the excess; of these the steepest.
        -- Nobody holds it all: the one that holds most of it, where that is clearly steeper.
        SELECT
            run,
            any(c.rise) AS own_rise, any(c.excess) AS own_excess,
            groupArray((c.other, c.other_excess, c.other_rise, c.shared)) AS others,
            arrayFilter(o -> o.4 >= any(c.carry_of) * own_excess, others) AS holders,
            arrayMax(o -> o.3, holders) AS steepest,
            arrayFilter(o -> o.3 >= 0.7 * steepest, holders) AS steep,
            arrayMax(o -> o.2, steep) AS most,
            arrayReverseSort(
                o -> (round(log(o.3), 1), -indexOf(['feature', 'agent', 'team', 'model', 'customer', 'user'], o.1.1), o.2, o.1),
                arrayFilter(o -> o.2 >= 0.8 * most, steep))[1].1 AS best,
            arrayReverseSort(o -> (o.4, o.1), arrayFilter(o -> o.4 >= 0.3 * own_excess AND o.3 >= 1.5 * own_rise, others))
                AS parts,
            if(best = run AND notEmpty(parts), parts[1].1, best) AS cause
        FROM candidates AS c
        GROUP BY run
    ),
    (SELECT (groupArray(run), groupArray(cause)) FROM named) AS causes,
    rooted AS
    (
        -- A cause may have one of its own: two steps more reach the end.
        SELECT
            n.1 AS run, n.2 AS first_cause,
            causes.2[indexOf(causes.1, first_cause)] AS second_cause,
            causes.2[indexOf(causes.1, second_cause)] AS third_cause,
            multiIf(third_cause.1 != '', third_cause, second_cause.1 != '', second_cause, first_cause) AS root
        FROM (SELECT arrayJoin(arrayZip(causes.1, causes.2)) AS n)
    ),
    members AS
    (
        SELECT
            r.root AS root, r.run = r.root AS is_root, s.*
        FROM rooted AS r
        INNER JOIN (SELECT (kind, key, direction, number) AS run, * FROM runs) AS s ON s.run = r.run
    )
SELECT
    lower(hex(sipHash128(
        argMin(kind, (started, kind, key)), argMin(key, (started, kind, key)), argMin(direction, (started, kind, key)),
        min(started)))) AS id,
    root.1 AS series_kind,
    root.2 AS series_key,
    root.3 AS direction,
    min(started) AS started_at,
    max(last_seen) AS last_seen_at,
    arraySort(groupUniqArrayArray(detectors)) AS detectors,
    anyIf(steepness, is_root) AS times_expected,
    anyIf(peak_actual, is_root) AS peak_usd_per_hour,
    anyIf(peak_expected, is_root) AS expected_usd_per_hour,
    anyIf(total_excess, is_root) AS excess_usd,
    max(z) AS z,
    arraySort(groupArrayIf((kind, key), NOT is_root)) AS folded
FROM members
GROUP BY root;
