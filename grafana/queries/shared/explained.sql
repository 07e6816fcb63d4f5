-- As otel_llmcost/detection/sql/explained.sql, from totals by the hour instead of single calls, for a panel must be fast.
-- A month at most.
    least({{anomaly_to}}, {{anomaly_from}} + INTERVAL 30 DAY) AS ends,
    dateDiff('second', {{anomaly_from}}, ends) AS length_s,
    arrayMap(k -> toInt64(k) * 604800 * (intDiv(length_s - 1, 604800) + 1), [1, 2, 3, 4]) AS weeks,
    (SELECT toUnixTimestamp({{anomaly_from}}) - toUnixTimestamp(min(hour)) FROM llmcost.hour_states) AS known_s,
    multiIf(
        known_s >= weeks[1], arrayFilter(o -> o <= known_s, weeks),
        known_s >= 86400 AND length_s <= 86400, [toInt64(86400)],
        [toInt64(length_s)]
    ) AS offsets,
    length(offsets) AS periods,
    lines AS
    (
        SELECT c.*, back = 0 AS is_now
        FROM
        (
            SELECT *
            FROM llmcost.calls_hourly
            WHERE day >= toDate({{anomaly_from}} - arrayMax(offsets), 'UTC') AND day <= toDate(ends, 'UTC')
            AND (
                {{anomaly_kind}} = 'total'
                OR {{anomaly_key}} = multiIf({{anomaly_kind}} = 'team', toString(team), {{anomaly_kind}} = 'feature', toString(feature),
                    {{anomaly_kind}} = 'agent', toString(agent), {{anomaly_kind}} = 'model', toString(model), toString(service))
            )
        ) AS c
        ARRAY JOIN arrayConcat([toInt64(0)], offsets) AS back
        WHERE c.hour >= {{anomaly_from}} - back AND c.hour < ends - back
    )
