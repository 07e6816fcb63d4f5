-- Anomalies that the time range touches and that concern what is chosen: the series that names it, or one that rose with
-- it. Environments, providers and workflows are no series.
(
    SELECT
        *,
        arrayConcat([(series_kind, series_key)], folded) AS concerned,
        -- what totals by the hour know: where a customer, a user or a host names it, the nearest series that rose too
        if(series_kind NOT IN ('customer', 'user', 'host'), (series_kind, series_key),
            arraySort(s -> indexOf(['agent', 'feature', 'service', 'team', 'model', 'total'], s.1),
                arrayFilter(s -> s.1 NOT IN ('customer', 'user', 'host'), arrayConcat(folded, [('total', '')])))[1])
            AS explained,
        concat(id, '|', explained.1, '|', toString(toUnixTimestamp(started_at)), '|',
            toString(toUnixTimestamp(last_seen_at)), '|', explained.2) AS pick
    FROM llmcost.anomalies
    WHERE last_seen_at >= $__fromTime AND started_at <= $__toTime
    AND $__conditionalAll(arrayExists(s -> s.1 = 'service' AND s.2 IN (${service:sqlstring}), concerned), $service)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'model' AND s.2 IN (${model:sqlstring}), concerned), $model)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'team' AND s.2 IN (${team:sqlstring}), concerned), $team)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'feature' AND s.2 IN (${feature:sqlstring}), concerned), $feature)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'customer' AND s.2 IN (${customer:sqlstring}), concerned), $customer)
    AND $__conditionalAll(arrayExists(s -> s.1 = 'agent' AND s.2 IN (${agent:sqlstring}), concerned), $agent)
)
