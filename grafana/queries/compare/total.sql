-- Both periods in one row. A change against nothing is NULL.
SELECT
    toFloat64(sumIf(b.cost_usd, is_now)) AS now_usd,
    toFloat64(sumIf(b.cost_usd, NOT is_now)) AS then_usd,
    if(then_usd > 0, now_usd / then_usd - 1, NULL) AS spend_change,
    if(sumIf(b.calls, NOT is_now) = 0, NULL, sumIf(b.calls, is_now) / sumIf(b.calls, NOT is_now) - 1) AS calls_change,
    if(then_usd > 0 AND sumIf(b.calls, is_now) > 0,
        now_usd / sumIf(b.calls, is_now) / (then_usd / sumIf(b.calls, NOT is_now)) - 1, NULL) AS usd_per_call_change,
    if(sumIf(b.input_tokens, is_now) = 0 OR sumIf(b.input_tokens, NOT is_now) = 0, NULL,
        sumIf(b.cache_read_tokens, is_now) / sumIf(b.input_tokens, is_now)
        - sumIf(b.cache_read_tokens, NOT is_now) / sumIf(b.input_tokens, NOT is_now)) AS hit_rate_change
FROM {{both}} AS b
