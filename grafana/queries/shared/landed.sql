-- Lines of the last {{hours_back}} hours of the time range, filtered, but those that were imported: when each landed after the
-- call's end.
(
    SELECT
        ts, service, source, emitter, price_book,
        ts + toIntervalMillisecond(duration_ms) AS ended_at,
        ingested_at,
        toFloat64(toUnixTimestamp64Milli(ingested_at)) - toFloat64(toUnixTimestamp64Milli(ended_at)) AS lag_ms
    FROM llmcost.calls
    WHERE ts >= greatest($__fromTime, $__toTime - INTERVAL {{hours_back}} HOUR) AND ts <= $__toTime AND source != 'import'
    {{filters}}
)
