-- The values of one dimension on the days of the time range, most expensive first. The plugin takes the first column as the value
-- and the second as the text. sqlstring leaves a backslash alone, which ClickHouse reads as an escape: the value
-- carries it doubled, so that such a name arrives as it is.
SELECT
    replaceAll(name, '\\', '\\\\') AS value,
    name AS text
FROM
(
    SELECT
        if({{dimension}} = '', '(none)', {{dimension}}) AS name,
        sum(cost_usd) AS spend_usd
    FROM llmcost.{{rollup}}
    WHERE day >= toDate($__fromTime, 'UTC')
    AND day <= toDate($__toTime, 'UTC')
    GROUP BY name
    ORDER BY spend_usd DESC NULLS LAST, name
    LIMIT {{limit}}
)
