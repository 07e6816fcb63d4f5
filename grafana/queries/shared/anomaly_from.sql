-- In full hours, for totals are.
toStartOfHour(toDateTime(toUInt32OrZero(splitByChar('|', ${anomaly:sqlstring})[3]), 'UTC'), 'UTC')
