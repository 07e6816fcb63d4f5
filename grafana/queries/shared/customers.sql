-- Customers of the time range, filtered: call by call up to 6 hours, else by whole days. Totals by the day know no
-- agents: where those are chosen, it is call by call up to a day, and nothing beyond.
(
    SELECT if(l.customer = '', '(none)', l.customer) AS customer, * EXCEPT (customer)
    FROM
    (
        SELECT
            customer, toUInt64(1) AS calls, toUInt64(c.cost_usd IS NULL) AS unpriced_calls,
            input_tokens + output_tokens AS tokens, c.cost_usd AS cost_usd, c.list_cost_usd AS list_cost_usd
        FROM llmcost.calls AS c
        WHERE {{range_s}} <= if({{all_agents}}, 21600, 86400)
        AND $__timeFilter(ts)
        {{filters}}

        UNION ALL

        SELECT customer, calls, unpriced_calls, input_tokens + output_tokens AS tokens, cost_usd, list_cost_usd
        FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
        WHERE {{all_agents}} AND {{range_s}} > 21600
        AND {{in_days}}
        {{filters}}
    ) AS l
)
