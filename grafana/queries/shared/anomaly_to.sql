(toStartOfHour(toDateTime(toUInt32OrZero(splitByChar('|', ${anomaly:sqlstring})[4]), 'UTC'), 'UTC') + INTERVAL 1 HOUR)
