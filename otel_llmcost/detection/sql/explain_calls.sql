-- The dearest calls of the time, with their traces.
WITH
    {{explained}}
SELECT ts, trace_id, model, team, feature, agent, user, session, input_tokens, cache_read_tokens, output_tokens, cost_usd
FROM lines
WHERE is_now
ORDER BY cost_usd DESC NULLS LAST, ts, call_id
LIMIT {limit:UInt32};
