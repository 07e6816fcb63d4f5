-- Who called: call by call up to 6 hours, and up to a day where more than teams, customers and users is chosen; longer
-- by whole days, the last 3 of the time range at most, and nothing where more is chosen.
SELECT
    if(u.user = '', '(none)', u.user) AS user,
    if(u.team = '', '(none)', u.team) AS team,
    if(u.customer = '', '(none)', u.customer) AS customer,
    toFloat64(sum(u.cost_usd)) AS spend_usd,
    sum(u.calls) AS calls,
    sum(u.errors) / calls AS failed,
    sum(u.tokens) / calls AS tokens_per_call
FROM
(
    SELECT user, team, customer, toUInt64(1) AS calls, toUInt64(outcome = 'error') AS errors,
        input_tokens + output_tokens AS tokens, c.cost_usd AS cost_usd
    FROM llmcost.calls AS c
    WHERE {{range_s}} <= if({{only_owners}}, 21600, 86400)
    AND $__timeFilter(ts)
    {{filters}}
    {{one_user}}

    UNION ALL

    SELECT user, team, customer, calls, errors, tokens, cost_usd
    FROM {{owners}}
    WHERE {{only_owners}} AND {{range_s}} > 21600
    AND day >= greatest(toDate($__fromTime, 'UTC'), toDate($__toTime, 'UTC') - 2) AND day <= toDate($__toTime, 'UTC')
    {{filters}}
    {{one_user}}
) AS u
GROUP BY user, team, customer
ORDER BY spend_usd DESC NULLS LAST, calls DESC, user, team, customer
LIMIT 100
