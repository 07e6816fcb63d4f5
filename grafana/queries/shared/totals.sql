-- All that totals tell of the time range, filtered, for stats and tables.
--   up to 6 hours   call by call, exact to the second; up to a day where customers are chosen
--   longer          by the hour; the first hour counts in full
--   customers       beyond a day by the day, which knows neither tiers, reasons and agents nor retries and waste: NULL
(
    SELECT
        {{bars}},
        if(l.environment = '', '(none)', l.environment) AS environment,
        if(l.service = '', '(none)', l.service) AS service,
        if(l.provider = '', '(none)', l.provider) AS provider,
        if(l.model = '', '(none)', l.model) AS model,
        if(l.team = '', '(none)', l.team) AS team,
        if(l.feature = '', '(none)', l.feature) AS feature,
        if(l.agent = '', '(none)', l.agent) AS agent,
        if(l.workflow = '', '(none)', l.workflow) AS workflow,
        * EXCEPT (environment, service, provider, model, team, feature, agent, workflow)
    FROM
    (
        SELECT
            toDateTime(ts, 'UTC') AS began, 1 AS grain_s,
            environment, service, provider, model, team, feature, agent, workflow,
            if(c.price_context['processing'] = 'batch', 'batch', c.service_tier) AS tier, reason,
            toUInt64(1) AS calls, toUInt64(outcome = 'error') AS errors,
            CAST(outcome = 'aborted', 'Nullable(UInt64)') AS aborted_calls,
            CAST(attempt > 1, 'Nullable(UInt64)') AS retries,
            toUInt64(c.cost_usd IS NULL) AS unpriced_calls,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            if(c.cost_usd IS NULL, input_tokens + output_tokens, 0) AS unpriced_tokens,
            c.cost_usd AS cost_usd, c.list_cost_usd AS list_cost_usd, c.cache_savings_usd AS cache_savings_usd,
            if(outcome = 'ok', NULL, c.cost_usd) AS wasted_cost_usd,
            if(isNull(ttft_ms), map(), map(toInt16(floor(8 * log2(greatest(ifNull(ttft_ms, 1), 1)))), toUInt64(1)))
                AS ttft_histogram,
            map(toInt16(floor(8 * log2(greatest(duration_ms, 1)))), toUInt64(1)) AS duration_histogram
        FROM llmcost.calls AS c
        WHERE {{call_by_call}}
        AND $__timeFilter(ts)
        {{filters}}

        UNION ALL

        SELECT
            hour AS began, 3600 AS grain_s,
            environment, service, provider, model, team, feature, agent, workflow,
            service_tier AS tier, reason,
            calls, errors, aborted_calls, retries, unpriced_calls,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens,
            cost_usd, list_cost_usd, cache_savings_usd, wasted_cost_usd, ttft_histogram, duration_histogram
        FROM (SELECT *, '' AS customer FROM llmcost.calls_hourly)
        WHERE {{all_customers}} AND {{range_s}} > 21600
        AND {{in_hours}}
        {{filters}}

        UNION ALL

        SELECT
            toDateTime(day, 'UTC') AS began, 86400 AS grain_s,
            environment, service, provider, model, team, feature, agent, workflow,
            '' AS tier, '(not kept by the day)' AS reason,
            calls, errors, NULL AS aborted_calls, NULL AS retries, unpriced_calls,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, unpriced_tokens,
            cost_usd, list_cost_usd, cache_savings_usd, NULL AS wasted_cost_usd,
            CAST(map(), 'Map(Int16, UInt64)') AS ttft_histogram, CAST(map(), 'Map(Int16, UInt64)') AS duration_histogram
        FROM (SELECT *, '' AS agent, '' AS workflow FROM llmcost.calls_daily)
        WHERE {{by_day}}
        AND {{in_days}}
        {{filters}}
    ) AS l
)
