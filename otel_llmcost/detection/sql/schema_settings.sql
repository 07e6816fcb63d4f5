-- Every threshold of detection, with what it means. These are all there are.
CREATE OR REPLACE VIEW {database}.detection_settings AS
SELECT
    d.name AS name,
    if(o.set_at = toDateTime64(0, 3), d.value, o.value) AS value,
    d.value AS default_value,
    d.meaning AS meaning
FROM values(
    'name String, value Float64, meaning String',
    ('min_z', 4.6, 'standard deviations from the expectation that make a signal, of 10 minutes and more'),
    ('min_z_short', 5, 'the same of less than 10 minutes, of which there are more to be wrong about'),
    ('min_ratio', 1.3, 'a rise below this multiple of the expectation is none, however certain'),
    ('min_excess_usd', 0.002, 'a rise that costs less than this in its window is none'),
    ('min_calls', 3, 'calls that a rise consists of at least, fewer only where one call is out of scale'),
    ('out_of_scale', 20, 'one call is out of scale from this multiple of the dearest call before it'),
    ('min_spread', 0.05, 'relative error of an expectation that is assumed at least'),
    ('cold_spread', 0.6, 'relative error that is added for a new series, fading over cold_days'),
    ('cold_days', 7, 'days until a series is judged by its own history alone'),
    ('silent_hours', 24, 'a series younger than this is not judged, its parents and the total are'),
    ('drop_z', 6, 'standard deviations that make silence a signal'),
    ('shift_z', 4.2, 'the same for windows of 6 and 24 hours'),
    ('drift_ratio', 1.25, 'growth over a week, beyond the usual growth, that is a drift'),
    ('drift_z', 4, 'standard deviations that make a drift'),
    ('measure_z', 6, 'standard deviations that make a signal of a moved ratio, such as cost per token'),
    ('newcomer_share', 0.05, 'share of the last day''s usual spend per hour that a new user, service or host may reach'),
    ('odd_hour', 0.5, 'an hour is odd where usually less than this share of the average hour is spent'),
    ('gap_minutes', 360, 'signals of a series further apart than this are two incidents'),
    ('carry', 0.7, 'share of the excess that a series must carry to name the incident')
) AS d
LEFT JOIN (SELECT name, value, set_at FROM {database}.detection_overrides FINAL) AS o ON o.name = d.name;

-- The same as one row, for queries.
CREATE OR REPLACE VIEW {database}.detection_thresholds AS
SELECT
    anyIf(value, name = 'min_z') AS min_z,
    anyIf(value, name = 'min_z_short') AS min_z_short,
    anyIf(value, name = 'min_ratio') AS min_ratio,
    anyIf(value, name = 'min_excess_usd') AS min_excess_usd,
    anyIf(value, name = 'min_calls') AS min_calls,
    anyIf(value, name = 'out_of_scale') AS out_of_scale,
    anyIf(value, name = 'min_spread') AS min_spread,
    anyIf(value, name = 'cold_spread') AS cold_spread,
    anyIf(value, name = 'cold_days') AS cold_days,
    anyIf(value, name = 'silent_hours') AS silent_hours,
    anyIf(value, name = 'drop_z') AS drop_z,
    anyIf(value, name = 'shift_z') AS shift_z,
    anyIf(value, name = 'drift_ratio') AS drift_ratio,
    anyIf(value, name = 'drift_z') AS drift_z,
    anyIf(value, name = 'measure_z') AS measure_z,
    anyIf(value, name = 'newcomer_share') AS newcomer_share,
    anyIf(value, name = 'odd_hour') AS odd_hour,
    anyIf(value, name = 'gap_minutes') AS gap_minutes,
    anyIf(value, name = 'carry') AS carry
FROM {database}.detection_settings;
