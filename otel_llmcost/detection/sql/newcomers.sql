-- Does somebody new spend like nobody new does? A key that leaked shows as a user, a service or a host that nobody has
-- seen before and that spends at once, most often while the others sleep. Judges each minute of [from, to) by the hour
-- that ends with it, into anomaly_signals (detector leaked_key): new is who was not seen before the last 24 hours.
--
-- What a newcomer may spend in an hour is newcomer_share of what the total usually spends in its average hour of the last
-- week, at odd hours (usually under odd_hour of that average) half as much; and no more than the dearest hour of 19 of 20
-- of those that are known, where there are 20. The total must be known for a week, else everybody is new.
INSERT INTO {database}.anomaly_signals
WITH
    known AS
    (
        SELECT series_kind AS kind, series_key AS key, max(cost_usd) AS dearest, min(hour) AS first_hour
        FROM {database}.series_hour FINAL
        WHERE series_kind IN ('user', 'service', 'host', 'total')
        AND hour >= {from:DateTime('UTC')} - 28 * 86400 AND hour < {from:DateTime('UTC')} - 86400
        GROUP BY kind, key
    ),
    usual AS
    (
        SELECT kind, quantile(0.95)(dearest) AS dear, count() AS members FROM known WHERE kind != 'total' GROUP BY kind
    ),
    totals AS
    (
        SELECT sum(cost_usd) / 168 AS average_usd
        FROM {database}.series_hour FINAL
        WHERE series_kind = 'total' AND hour >= {from:DateTime('UTC')} - 8 * 86400 AND hour < {from:DateTime('UTC')} - 86400
        HAVING (SELECT min(first_hour) FROM known WHERE kind = 'total') <= {from:DateTime('UTC')} - 7 * 86400
            AND average_usd > 0
    ),
    spending AS
    (
        SELECT
            m.series_kind AS kind, m.series_key AS key, m.minute AS minute,
            sum(toFloat64(ifNull(m.cost_usd, 0))) OVER last_hour AS usd,
            sum(m.calls) OVER last_hour AS n
        FROM {database}.series_minute(
            start = toStartOfMinute({from:DateTime('UTC')}, 'UTC') - 3540, until = {to:DateTime('UTC')}) AS m
        WHERE m.series_kind IN ('user', 'service', 'host')
        AND (m.series_kind, m.series_key) NOT IN (SELECT kind, key FROM known)
        WINDOW last_hour AS (
            PARTITION BY m.series_kind, m.series_key ORDER BY toUnixTimestamp(m.minute) RANGE BETWEEN 3540 PRECEDING AND CURRENT ROW)
    ),
    judged AS
    (
        SELECT
            s.kind AS kind, s.key AS key, s.minute AS minute, s.usd AS usd, s.n AS n,
            e.seasonal_usd < t.odd_hour * x.average_usd AS is_odd,
            greatest(
                t.newcomer_share * x.average_usd * if(is_odd, 0.5, 1), if(u.members >= 20, u.dear, 0), t.min_excess_usd
            ) AS allowed,
            t.min_calls AS min_calls
        FROM spending AS s
        CROSS JOIN totals AS x
        CROSS JOIN {database}.detection_thresholds AS t
        LEFT JOIN usual AS u ON u.kind = s.kind
        LEFT JOIN (SELECT hour, seasonal_usd FROM {database}.series_expected FINAL WHERE series_kind = 'total'
                   AND hour >= toStartOfHour({from:DateTime('UTC')}, 'UTC') AND hour < {to:DateTime('UTC')}) AS e
            ON e.hour = toStartOfHour(s.minute, 'UTC')
        WHERE s.minute >= {from:DateTime('UTC')}
    )
SELECT
    toStartOfHour(minute, 'UTC') AS hour, kind, key, 'leaked_key' AS detector, 'rise' AS direction,
    min(minute), max(minute), toUInt32(60),
    toFloat64(0) AS z, -- of one who was never seen nothing is usual
    max(usd / allowed), max(usd), toFloat64(0), max(usd)
FROM judged
WHERE usd > allowed AND n >= min_calls
GROUP BY hour, kind, key;
