-- The dearest calls of the anomaly: of its last day at most.
SELECT
    ts, model, team, feature, customer, user, session, input_tokens, cache_read_tokens, output_tokens,
    toFloat64(c.cost_usd) AS spend_usd,
    trace_id
FROM llmcost.calls AS c
WHERE ts >= greatest({{anomaly_from}}, {{anomaly_to}} - INTERVAL 1 DAY) AND ts < {{anomaly_to}}
AND {{anomaly_kind}} != ''
AND ({{anomaly_kind}} = 'total' OR {{anomaly_key}} = multiIf(
    {{anomaly_kind}} = 'team', toString(team), {{anomaly_kind}} = 'feature', toString(feature),
    {{anomaly_kind}} = 'agent', toString(agent), {{anomaly_kind}} = 'model', toString(model), toString(service)))
ORDER BY spend_usd DESC NULLS LAST, ts, call_id
LIMIT 30
