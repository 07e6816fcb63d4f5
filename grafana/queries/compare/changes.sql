-- Where the difference comes from: the largest changes first, either way.
SELECT
    {{dimension}},
    toFloat64(ifNull(sumIf(b.cost_usd, NOT is_now), 0)) AS before_usd,
    toFloat64(ifNull(sumIf(b.cost_usd, is_now), 0)) AS now_usd,
    now_usd - before_usd AS change_usd,
    if(before_usd > 0, now_usd / before_usd - 1, NULL) AS change,
    if(sumIf(b.calls, NOT is_now) = 0, NULL, sumIf(b.calls, is_now) / sumIf(b.calls, NOT is_now) - 1) AS calls_change
FROM {{both}} AS b
GROUP BY {{dimension}}
ORDER BY abs(change_usd) DESC, {{dimension}}
LIMIT 50
