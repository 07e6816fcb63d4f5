-- What later prices changed of these days' bill.
SELECT
    restatement,
    any(started_at) AS at,
    any(who) AS who,
    any(why) AS why,
    sum(r.calls) AS calls,
    toFloat64(sum(r.delta_usd)) AS delta_usd
FROM (SELECT *, '' AS service, '' AS agent, '' AS workflow FROM llmcost.restated) AS r
LEFT JOIN (SELECT id, started_at, who, why FROM llmcost.restatements FINAL) AS run ON run.id = r.restatement
WHERE {{all_services}} AND {{all_agents}}
AND {{in_days}}
{{filters}}
GROUP BY restatement
ORDER BY restatement DESC
LIMIT 50
