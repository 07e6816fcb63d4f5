-- The hours of the time range, the first one whole. The condition on the day lets live days be skipped.
{{in_days}} AND hour >= toStartOfHour($__fromTime, 'UTC') AND hour <= $__toTime
