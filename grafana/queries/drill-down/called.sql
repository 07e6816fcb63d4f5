-- What was called in the time range: call by call up to 6 hours, up to a day where customers or users are chosen;
-- longer by the hour, and nothing where those are chosen.
SELECT
    {{keys}}
    toFloat64(sum(l.cost_usd)) AS spend_usd,
    sum(l.calls) AS calls,
    if(calls = 0, NULL, sum(l.errors) / calls) AS failed,
    if(calls = 0, NULL, sum(l.tokens) / calls) AS tokens_per_call,
    if(calls = 0, NULL, spend_usd / calls) AS usd_per_call
FROM
(
SELECT * REPLACE (
    if(service = '', '(none)', service) AS service,
    if(agent = '', '(none)', agent) AS agent,
    if(workflow = '', '(none)', workflow) AS workflow
)
FROM
(
    SELECT service, agent, workflow, toUInt64(1) AS calls, toUInt64(outcome = 'error') AS errors,
        input_tokens + output_tokens AS tokens, c.cost_usd AS cost_usd
    FROM llmcost.calls AS c
    WHERE {{range_s}} <= if({{all_customers}} AND {{all_users}}, 21600, 86400)
    AND $__timeFilter(ts)
    {{filters}}
    {{one_user}}

    UNION ALL

    SELECT service, agent, workflow, calls, errors, input_tokens + output_tokens AS tokens, cost_usd
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE {{all_customers}} AND {{all_users}} AND {{range_s}} > 21600
    AND {{in_hours}}
    {{filters}}
)
) AS l
{{grouped}}
