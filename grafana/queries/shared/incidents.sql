-- Anomalies that the time range touches and that concern what is chosen: the series that names it, or one that rose with
-- it. Environments, providers and workflows are no series.
(
    SELECT
        *,
        arrayConcat([(series_kind, series_key)], folded) AS concerned,
        concat(id, '|', series_kind, '|', toString(toUnixTimestamp(started_at)), '|', toString(toUnixTimestamp(last_seen_at)),
            '|', series_key) AS pick
    FROM llmcost.anomalies
    WHERE last_seen_at >= $__fromTime AND started_at <= $__toTime
    AND $__conditionalAll(arrayExists(s -> s.1 = 'service' AND s.2 IN (${service:sqlstring}), concerned), $service)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'model' AND s.2 IN (${model:sqlstring}), concerned), $model)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'team' AND s.2 IN (${team:sqlstring}), concerned), $team)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'feature' AND s.2 IN (${feature:sqlstring}), concerned), $feature)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'customer' AND s.2 IN (${customer:sqlstring}), concerned), $customer)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'agent' AND s.2 IN (${agent:sqlstring}), concerned), $agent)
)
