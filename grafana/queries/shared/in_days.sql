-- The days of the time range, whole.
day >= toDate($__fromTime, 'UTC') AND day <= toDate($__toTime, 'UTC')
