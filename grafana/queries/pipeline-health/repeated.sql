-- Records that repeat a call, of the last day of the range, by who told it again; they are no lines. The filters hold for
-- what such a record knows: service, provider and model.
SELECT
    emitter, service, count() AS records,
    uniqExact(duplicate_of) AS of_calls
FROM (SELECT *, '' AS environment, '' AS team, '' AS feature, '' AS customer, '' AS agent, '' AS workflow FROM llmcost.duplicates)
WHERE ts >= greatest($__fromTime, $__toTime - INTERVAL 6 HOUR) AND ts <= $__toTime AND emitter != ''
AND $__conditionalAll(if(service = '', '(none)', service) IN (${service:sqlstring}), $service)
AND $__conditionalAll(if(provider = '', '(none)', provider) IN (${provider:sqlstring}), $provider)
AND $__conditionalAll(if(model = '', '(none)', model) IN (${model:sqlstring}), $model)
GROUP BY emitter, service
ORDER BY records DESC, emitter, service
LIMIT 50
