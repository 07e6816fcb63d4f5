-- What the series that signalled in an hour of [from, to) have in common, into anomaly_links: of rises the cost of that
-- hour and the one before it, of drops (there is no cost to share) that of the day before. At most the 200 loudest
-- series of an hour: a flood has few causes, and they are among them.
INSERT INTO {database}.anomaly_links
WITH
    loudest AS
    (
        SELECT series_kind AS kind, series_key AS key, direction, hour, max(s.excess_usd) AS excess
        FROM {database}.anomaly_signals AS s
        WHERE hour >= toStartOfHour({from:DateTime('UTC')}, 'UTC') AND hour < {to:DateTime('UTC')}
        AND direction = {direction:String}
        GROUP BY kind, key, direction, hour
        ORDER BY hour, excess DESC, kind, key
        LIMIT 200 BY hour
    ),
    if({direction:String} = 'rise', 3600, 86400) AS back,
    shared AS
    (
        SELECT
            s.series_kind AS kind, s.series_key AS key, s.other_kind AS other_kind, s.other_key AS other_key,
            arrayJoin(arrayFilter(h -> h < {to:DateTime('UTC')} AND h >= toStartOfHour({from:DateTime('UTC')}, 'UTC'),
                arrayMap(i -> toStartOfHour(s.minute, 'UTC') + i * 3600, range(toUInt32(intDiv(back, 3600) + 1))))) AS hour,
            sum(toFloat64(ifNull(s.cost_usd, 0))) AS usd
        FROM {database}.series_shared(
            start = toStartOfHour({from:DateTime('UTC')}, 'UTC') - if({direction:String} = 'rise', 3600, 86400),
            until = {to:DateTime('UTC')}) AS s
        WHERE (s.series_kind, s.series_key) IN (SELECT kind, key FROM loudest)
        AND (s.other_kind, s.other_key) IN (SELECT kind, key FROM loudest)
        GROUP BY kind, key, other_kind, other_key, hour
    ),
    wholes AS
    (
        SELECT kind, key, hour, max(usd) AS usd FROM shared GROUP BY kind, key, hour
    )
SELECT
    a.hour, a.kind, a.key, b.kind, b.key, a.direction,
    s.usd,
    least(s.usd / greatest(w.usd, 1e-9), 1)
FROM loudest AS a
INNER JOIN loudest AS b ON b.hour = a.hour
INNER JOIN shared AS s ON s.kind = a.kind AND s.key = a.key AND s.other_kind = b.kind AND s.other_key = b.key AND s.hour = a.hour
INNER JOIN wholes AS w ON w.kind = a.kind AND w.key = a.key AND w.hour = a.hour
WHERE (a.kind, a.key) != (b.kind, b.key);
