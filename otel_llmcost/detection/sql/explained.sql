-- The calls of a series in [from, to), `now`, and in what they are compared with: the same hours one to four weeks ago as
-- far as the series goes back, else of the day before, else the time right before. Of n such periods each counts 1 / n.
    first_seen AS
    (
        SELECT if(count() = 0, {from:DateTime('UTC')}, min(hour)) AS seen
        FROM {database}.series_hour
        WHERE series_kind = {kind:String} AND series_key = {key:String}
    ),
    (SELECT dateDiff('second', seen, {from:DateTime('UTC')}) FROM first_seen) AS known_s,
    dateDiff('second', {from:DateTime('UTC')}, {to:DateTime('UTC')}) AS length_s,
    multiIf(
        known_s >= 604800, arrayMap(k -> toInt64(k + 1) * 604800, range(toUInt32(least(4, intDiv(known_s, 604800))))),
        known_s >= 86400 AND length_s <= 86400, [toInt64(86400)],
        [toInt64(length_s)]
    ) AS offsets,
    length(offsets) AS periods,
    lines AS
    (
        SELECT
            c.*,
            toUInt64(1) AS calls,
            c.ts >= {from:DateTime('UTC')} AND c.ts < {to:DateTime('UTC')} AS is_now
        FROM {database}.calls AS c
        WHERE c.ts >= {from:DateTime('UTC')} - arrayMax(offsets) AND c.ts < {to:DateTime('UTC')}
        AND arrayExists(
            o -> c.ts >= {from:DateTime('UTC')} - o AND c.ts < {to:DateTime('UTC')} - o, arrayConcat([toInt64(0)], offsets)
        )
        AND has({{kinds}}, ({kind:String}, {key:String}))
    )
