-- Calls without a price and why: call by call up to 6 hours, by the hour where it is longer, and the first hour of the
-- range counts in full. Where customers are chosen: call by call up to 7 days, and by the day, which keeps no reasons.
SELECT
    if(u.model = '', '(none)', u.model) AS model,
    if(u.provider = '', '(none)', u.provider) AS provider,
    reason,
    sum(u.calls) AS calls,
    sum(u.tokens) AS tokens
FROM
(
    SELECT model, provider, reason, toUInt64(1) AS calls, input_tokens + output_tokens AS tokens
    FROM llmcost.calls
    WHERE dateDiff('second', $__fromTime, $__toTime) <= if($__conditionalAll(1 = 0, $customer), 21600, 604800)
    AND cost_usd IS NULL
    AND $__timeFilter(ts)
    {{filters}}

    UNION ALL

    SELECT model, provider, reason, unpriced_calls AS calls, unpriced_tokens AS tokens
    FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
    WHERE $__conditionalAll(1 = 0, $customer) AND dateDiff('second', $__fromTime, $__toTime) > 21600
    AND unpriced_calls > 0
    AND day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
    AND hour >= toStartOfHour($__fromTime, 'UTC') AND hour <= $__toTime
    {{filters}}

    UNION ALL

    SELECT model, provider, '(not kept by the day)' AS reason, unpriced_calls AS calls, unpriced_tokens AS tokens
    FROM llmcost.calls_daily
    WHERE NOT ($__conditionalAll(1 = 0, $customer)) AND dateDiff('second', $__fromTime, $__toTime) > 604800
    AND unpriced_calls > 0
    AND day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
    {{filters}}
) AS u
GROUP BY model, provider, reason
ORDER BY calls DESC, model, provider, reason
LIMIT 50
