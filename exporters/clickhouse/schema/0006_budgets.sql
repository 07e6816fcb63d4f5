-- Budgets: how much may be spent in a day, week, month or quarter (UTC), by all or by whom `scope` names.

-- Rows are added and never changed: of those of a budget that hold on a day, the one that was written last counts. So a
-- budget that is raised or removed leaves what it was before, and since when.
CREATE TABLE IF NOT EXISTS {database}.budgets
(
    budget     String,
    valid_from Date32,
    valid_to   Date32 DEFAULT toDate32('2299-12-31'),
    -- day, week (from Monday), month, quarter
    period     LowCardinality(String),
    -- environment, service, provider, model, team, feature, customer → the values that count; no key: everything
    scope      Map(LowCardinality(String), Array(String)),
    amount_usd Decimal(38, 12),
    -- shares of the amount at which to tell
    thresholds Array(Float64) DEFAULT [0.7, 0.85, 0.95, 1],
    is_removed UInt8 DEFAULT 0,
    note       String,
    written_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (budget, written_at);

-- How far each budget of a day is: `SELECT * FROM budget_status_on(day = '2026-11-24')`, with what the ledger has until
-- the end of that day. The rest of a period is expected to cost, day by day, what the last 7 full days did on average, of
-- those that the budget's callers have been known for.
CREATE OR REPLACE VIEW {database}.budget_status_on AS
WITH
    toDate32({day:Date32}) AS today,
    addDays(today, -7) AS week_ago,
    budgets_now AS
    (
        SELECT
            b.budget AS budget,
            argMax(b.period, b.written_at) AS period,
            argMax(b.scope, b.written_at) AS scope,
            argMax(b.amount_usd, b.written_at) AS amount_usd,
            argMax(b.thresholds, b.written_at) AS thresholds,
            argMax(b.is_removed, b.written_at) AS is_removed,
            toDate32(multiIf(
                period = 'day', today, period = 'week', toStartOfWeek(today, 1),
                period = 'month', toStartOfMonth(today), toStartOfQuarter(today))) AS period_start,
            toDate32(multiIf(
                period = 'day', addDays(period_start, 1), period = 'week', addDays(period_start, 7),
                period = 'month', addMonths(period_start, 1), addMonths(period_start, 3))) AS period_end
        FROM {database}.budgets AS b
        WHERE b.valid_from <= today AND b.valid_to >= today
        GROUP BY budget
        HAVING is_removed = 0
    ),
    -- The ledger is read once: by the dimensions that some budget names, over the longest period that one has.
    (SELECT groupUniqArrayArray(mapKeys(scope)) FROM budgets_now) AS used,
    (SELECT min(least(period_start, week_ago)) FROM budgets_now) AS first_day,
    spent_by AS
    (
        SELECT
            if(has(used, 'environment'), d.environment, '') AS by_environment,
            if(has(used, 'service'), d.service, '') AS by_service,
            if(has(used, 'provider'), d.provider, '') AS by_provider,
            if(has(used, 'model'), d.model, '') AS by_model,
            if(has(used, 'team'), d.team, '') AS by_team,
            if(has(used, 'feature'), d.feature, '') AS by_feature,
            if(has(used, 'customer'), d.customer, '') AS by_customer,
            sumIf(d.cost_usd, d.day = today) AS day_usd,
            sumIf(d.cost_usd, d.day >= toStartOfWeek(today, 1)) AS week_usd,
            sumIf(d.cost_usd, d.day >= toStartOfMonth(today)) AS month_usd,
            sumIf(d.cost_usd, d.day >= toStartOfQuarter(today)) AS quarter_usd,
            sumIf(d.cost_usd, d.day >= week_ago AND d.day < today) AS recent_usd,
            min(d.day) AS known_since
        FROM {database}.calls_daily AS d
        WHERE d.day >= first_day AND d.day <= today
        GROUP BY by_environment, by_service, by_provider, by_model, by_team, by_feature, by_customer
    ),
    spent AS
    (
        SELECT
            b.budget AS budget, any(b.period) AS period, any(b.period_start) AS period_start,
            any(b.period_end) AS period_end, any(b.scope) AS scope, any(b.amount_usd) AS amount_usd,
            any(b.thresholds) AS thresholds,
            ifNull(sum(multiIf(
                b.period = 'day', s.day_usd, b.period = 'week', s.week_usd, b.period = 'month', s.month_usd,
                s.quarter_usd)), 0) AS spent_usd,
            toFloat64(ifNull(sum(s.recent_usd), 0))
                / greatest(1, least(7, dateDiff('day', min(s.known_since), today))) AS usd_per_day
        FROM budgets_now AS b
        CROSS JOIN spent_by AS s
        WHERE arrayAll(
            name -> has(b.scope[name], map(
                'environment', s.by_environment, 'service', s.by_service, 'provider', s.by_provider, 'model', s.by_model,
                'team', s.by_team, 'feature', s.by_feature, 'customer', s.by_customer)[name]),
            mapKeys(b.scope))
        GROUP BY budget
    )
SELECT
    b.budget AS budget, b.period AS period, b.period_start AS period_start, b.period_end AS period_end,
    b.scope AS scope, b.amount_usd AS amount_usd, b.thresholds AS thresholds,
    CAST(if(s.budget = '', 0, s.spent_usd), 'Decimal(38, 12)') AS spent_usd,
    toFloat64(spent_usd) / toFloat64(b.amount_usd) AS share,
    arrayMax(arrayPushFront(arrayFilter(threshold -> share >= threshold, b.thresholds), 0)) AS threshold_reached,
    dateDiff('day', today, b.period_end) - 1 AS days_left,
    s.usd_per_day AS usd_per_day,
    toFloat64(spent_usd) + s.usd_per_day * days_left AS expected_usd,
    expected_usd / toFloat64(b.amount_usd) AS expected_share,
    if(share < 1 AND expected_share > 1,
       addDays(today, toUInt32(ceil((toFloat64(b.amount_usd) - toFloat64(spent_usd)) / s.usd_per_day))), NULL) AS exceeds_on
FROM budgets_now AS b
LEFT JOIN spent AS s ON s.budget = b.budget;
