-- Questions over `calls`. Plain views: exact by construction, whatever arrived twice or late.
-- Hours and days are UTC, as on the providers' invoices. Sums of money skip lines without a price and are NULL where
-- no line has one; unpriced_calls says how many were skipped.

CREATE OR REPLACE VIEW {database}.calls_hourly AS
SELECT
    toStartOfHour(ts, 'UTC') AS hour,
    environment, service, provider, model, team, feature, customer, status,
    count() AS calls,
    countIf(outcome = 'error') AS errors,
    countIf(c.cost_usd IS NULL) AS unpriced_calls,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens,
    sum(c.cache_write_tokens) AS cache_write_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.reasoning_tokens) AS reasoning_tokens,
    sum(c.cost_usd) AS cost_usd,
    sum(c.list_cost_usd) AS list_cost_usd,
    sum(c.input_cost_usd) AS input_cost_usd,
    sum(c.output_cost_usd) AS output_cost_usd,
    sum(c.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(c.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(c.other_cost_usd) AS other_cost_usd,
    sum(c.cache_savings_usd) AS cache_savings_usd
FROM {database}.calls AS c
GROUP BY hour, environment, service, provider, model, team, feature, customer, status;

CREATE OR REPLACE VIEW {database}.calls_daily AS
SELECT
    toDate(hour, 'UTC') AS day,
    environment, service, provider, model, team, feature, customer, status,
    sum(h.calls) AS calls,
    sum(h.errors) AS errors,
    sum(h.unpriced_calls) AS unpriced_calls,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cache_read_tokens) AS cache_read_tokens,
    sum(h.cache_write_tokens) AS cache_write_tokens,
    sum(h.output_tokens) AS output_tokens,
    sum(h.reasoning_tokens) AS reasoning_tokens,
    sum(h.cost_usd) AS cost_usd,
    sum(h.list_cost_usd) AS list_cost_usd,
    sum(h.input_cost_usd) AS input_cost_usd,
    sum(h.output_cost_usd) AS output_cost_usd,
    sum(h.cache_read_cost_usd) AS cache_read_cost_usd,
    sum(h.cache_write_cost_usd) AS cache_write_cost_usd,
    sum(h.other_cost_usd) AS other_cost_usd,
    sum(h.cache_savings_usd) AS cache_savings_usd
FROM {database}.calls_hourly AS h
GROUP BY day, environment, service, provider, model, team, feature, customer, status;

-- Who pays for what.
CREATE OR REPLACE VIEW {database}.chargeback AS
SELECT
    day, team, feature, customer, provider, model,
    sum(d.calls) AS calls,
    sum(d.input_tokens + d.output_tokens) AS tokens,
    sum(d.cost_usd) AS cost_usd,
    sum(d.list_cost_usd) AS list_cost_usd,
    sum(d.cache_savings_usd) AS cache_savings_usd,
    sum(d.unpriced_calls) AS unpriced_calls
FROM {database}.calls_daily AS d
GROUP BY day, team, feature, customer, provider, model;

-- How fast money is being spent, minute by minute.
CREATE OR REPLACE VIEW {database}.spend_rate AS
SELECT
    toStartOfMinute(ts, 'UTC') AS minute,
    environment, provider, model, team, feature,
    count() AS calls,
    sum(c.cost_usd) AS cost_usd,
    sum(c.cost_usd) * 60 AS usd_per_hour
FROM {database}.calls AS c
GROUP BY minute, environment, provider, model, team, feature;

-- How much of the traffic has a price and an owner. '(none)' is what attribution writes where no rule named a team.
CREATE OR REPLACE VIEW {database}.coverage AS
SELECT
    toStartOfHour(ts, 'UTC') AS hour,
    count() AS calls,
    countIf(cost_usd IS NOT NULL) AS priced_calls,
    sum(input_tokens + output_tokens) AS tokens,
    sumIf(input_tokens + output_tokens, cost_usd IS NOT NULL) AS priced_tokens,
    countIf(team NOT IN ('', '(none)')) AS attributed_calls,
    countIf(NOT usage_known AND cost_usd IS NULL) AS unknown_usage_calls,
    sumMap(map(status, 1)) AS calls_by_status,
    sumMapIf(map(reason, 1), reason != '') AS calls_by_reason
FROM {database}.calls
GROUP BY hour;
