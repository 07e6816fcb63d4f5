-- The full hours of the time range (is_now) and of the period that it is compared with, at the same `time`; where
-- customers are chosen the full days, for no totals by the hour know them. What is not over in the range counts on
-- neither side.
(
    SELECT * REPLACE (
        if(service = '', '(none)', service) AS service,
        if(model = '', '(none)', model) AS model,
        if(team = '', '(none)', team) AS team,
        if(feature = '', '(none)', feature) AS feature
    )
    FROM
    (
        SELECT
            hour + back_s AS time, back_s = 0 AS is_now, 3600 AS grain_s,
            service, model, team, feature, calls, errors, input_tokens, cache_read_tokens, output_tokens, cost_usd
        FROM
        (
            SELECT *
            FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
            WHERE {{all_customers}}
            AND day >= toDate($__fromTime - {{shift_s}}, 'UTC') AND day <= toDate($__toTime, 'UTC')
            AND hour >= toStartOfHour($__fromTime, 'UTC') - {{shift_s}} AND hour < toStartOfHour($__toTime, 'UTC')
            {{filters}}
        )
        ARRAY JOIN [0, {{shift_s}}] AS back_s
        WHERE time >= toStartOfHour($__fromTime, 'UTC') AND time < toStartOfHour($__toTime, 'UTC')

        UNION ALL

        SELECT
            toDateTime(day, 'UTC') + back_s AS time, back_s = 0 AS is_now, 86400 AS grain_s,
            service, model, team, feature, calls, errors, input_tokens, cache_read_tokens, output_tokens, cost_usd
        FROM
        (
            SELECT *
            FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
            WHERE NOT ({{all_customers}}) AND {{all_agents}}
            AND day >= toDate($__fromTime - {{shift_s}}, 'UTC') - 1 AND day < toDate($__toTime, 'UTC')
            {{filters}}
        )
        ARRAY JOIN [0, intDiv({{shift_s}} + 86399, 86400) * 86400] AS back_s
        WHERE time >= toStartOfDay($__fromTime, 'UTC') AND time < toStartOfDay($__toTime, 'UTC')
    )
)
