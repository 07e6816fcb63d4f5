SELECT
    budget, toString(period) AS period, toString(period_start) AS since, toString(amount_usd) AS amount_usd,
    share, thresholds, days_left, exceeds_on
FROM llmcost.budget_status_on(day = toDate32($__toTime, 'UTC'))
