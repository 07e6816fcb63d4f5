-- When the change happened: as typed, or the middle of the time range.
ifNull(
    parseDateTimeBestEffortOrNull(${change:sqlstring}, 'UTC'),
    toDateTime(intDiv(toUnixTimestamp($__fromTime) + toUnixTimestamp($__toTime), 2), 'UTC')
)
