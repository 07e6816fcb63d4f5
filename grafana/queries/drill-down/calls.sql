-- Single calls of the last day of the time range.
SELECT
    ts,
    service, model, team, feature, customer, user, agent, session,
    outcome,
    attempt,
    input_tokens, cache_read_tokens, output_tokens,
    duration_ms,
    toFloat64(c.cost_usd) AS spend_usd,
    if(status = 'exact', '', concat(status, if(reason = '', '', ': '), reason)) AS remark,
    call_id,
    trace_id
FROM llmcost.calls AS c
WHERE ts >= greatest($__fromTime, $__toTime - INTERVAL 1 DAY) AND ts <= $__toTime
{{filters}}
{{one_user}}
ORDER BY if(${order:sqlstring} = 'time', toFloat64(toUnixTimestamp64Milli(ts)), spend_usd) DESC NULLS LAST, ts DESC, call_id
LIMIT 100
