-- The chosen series by the hour, and what it was expected to cost: a day before the anomaly to half a day after it.
SELECT
    h.hour AS time,
    h.usd AS spent,
    e.usd AS expected
FROM
(
    SELECT hour, argMax(s.cost_usd, s.version) AS usd
    FROM llmcost.series_hour AS s
    WHERE series_kind = {{anomaly_kind}} AND series_key = {{anomaly_key}}
    AND hour >= {{anomaly_from}} - INTERVAL 24 HOUR AND hour < {{anomaly_to}} + INTERVAL 12 HOUR
    GROUP BY hour
) AS h
LEFT JOIN
(
    SELECT hour, argMax(greatest(x.seasonal_usd, x.seasonal_usd * x.level), x.version) AS usd
    FROM llmcost.series_expected AS x
    WHERE series_kind = {{anomaly_kind}} AND series_key = {{anomaly_key}}
    AND hour >= {{anomaly_from}} - INTERVAL 24 HOUR AND hour < {{anomaly_to}} + INTERVAL 12 HOUR
    GROUP BY hour
) AS e USING (hour)
ORDER BY time
