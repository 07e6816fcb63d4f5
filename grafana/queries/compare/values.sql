-- The values of the dimension that is compared, most expensive first.
SELECT replaceAll(name, '\\', '\\\\') AS value, name AS text
FROM
(
    SELECT if(toString({{picked}}) = '', '(none)', toString({{picked}})) AS name, sum(cost_usd) AS spend_usd
    FROM llmcost.calls_hourly
    WHERE {{in_days}}
    GROUP BY name
    ORDER BY {{order}}, name
    LIMIT 1000
)
