-- Who carries the difference.
SELECT
    dimension,
    value,
    toFloat64(sumIf(usd, is_now)) AS now_usd,
    toFloat64(sumIf(usd, NOT is_now)) / any(in_base) AS before_usd,
    now_usd - before_usd AS change_usd
FROM
(
    WITH
        {{explained}}
    SELECT
        one.1 AS dimension, if(one.2 = '', '(none)', one.2) AS value, is_now, ifNull(c.cost_usd, 0) AS usd,
        periods AS in_base
    FROM lines AS c
    ARRAY JOIN [
        ('team', toString(c.team)), ('feature', toString(c.feature)), ('agent', toString(c.agent)),
        ('model', toString(c.model)), ('service', toString(c.service)), ('environment', toString(c.environment))
    ] AS one
    WHERE one.1 != {{anomaly_kind}} AND {{anomaly_kind}} != ''
)
GROUP BY dimension, value
ORDER BY abs(change_usd) DESC, dimension, value
LIMIT 30
