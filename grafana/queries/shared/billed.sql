-- The whole UTC days of the time range, filtered. Totals by the day know no agents: where those are chosen it is the
-- totals by the hour, which know no customers; where both are, nothing.
(
    SELECT * REPLACE (
        if(team = '', '(none)', team) AS team,
        if(feature = '', '(none)', feature) AS feature,
        if(customer = '', '(none)', customer) AS customer,
        if(provider = '', '(none)', provider) AS provider,
        if(model = '', '(none)', model) AS model,
        if(service = '', '(none)', service) AS service,
        if(environment = '', '(none)', environment) AS environment
    )
    FROM
    (
        SELECT day, team, feature, customer, provider, model, service, environment,
            calls, tokens, cost_usd, list_cost_usd, cache_savings_usd, unpriced_calls
        FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.chargeback)
        WHERE {{all_agents}}
        AND {{in_days}}
        {{filters}}

        UNION ALL

        SELECT day, team, feature, '' AS customer, provider, model, service, environment,
            calls, input_tokens + output_tokens AS tokens, cost_usd, list_cost_usd, cache_savings_usd, unpriced_calls
        FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
        WHERE NOT ({{all_agents}}) AND {{all_customers}}
        AND {{in_days}}
        {{filters}}
    )
)
