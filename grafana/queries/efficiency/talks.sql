-- Conversations by feature and agent; the 95th percentile is from histograms, exact to 4.5 %.
SELECT
    if(c.feature = '', '(none)', c.feature) AS feature,
    if(c.agent = '', '(none)', c.agent) AS agent,
    sum(c.conversations) AS conversations,
    sum(c.calls) / conversations AS turns,
    sum(c.input_tokens + c.output_tokens) / conversations AS tokens,
    exp2((arrayReduce('quantileExactWeighted(0.95)', mapKeys(sumMap(c.tokens_histogram) AS h), mapValues(h)) + 0.5) / 8)
        AS tokens_p95,
    toFloat64(sum(c.cost_usd)) / conversations AS usd_each
FROM {{talks}} AS c
GROUP BY feature, agent
ORDER BY toFloat64(sum(c.cost_usd)) DESC NULLS LAST, conversations DESC, feature, agent
LIMIT 50
