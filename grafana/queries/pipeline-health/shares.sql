-- What is not known exactly, of all calls of the range.
SELECT
    if(sum(t.calls) = 0, NULL, sum(t.unpriced_calls) / sum(t.calls)) AS unpriced,
    if(sum(t.calls) = 0, NULL, sumIf(t.calls, team = '(none)') / sum(t.calls)) AS unattributed,
    if(sum(t.calls) = 0, NULL, sumIf(t.calls, reason != '' AND t.cost_usd IS NOT NULL) / sum(t.calls)) AS estimated
FROM {{totals}} AS t
