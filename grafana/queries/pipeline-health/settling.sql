-- Totals: hours that are over for two hours and not settled yet (added up again for every question), and how old the
-- newest price book is.
SELECT
    (
        SELECT countIf(settlement = 0 AND hour < toStartOfHour($__toTime, 'UTC') - INTERVAL 2 HOUR)
        FROM llmcost.hour_states
    ) AS unsettled_hours,
    (
        SELECT if(count() = 0, NULL, greatest(0, dateDiff('second', toDateTime(max(archived_at), 'UTC'), $__toTime)) / 86400)
        FROM llmcost.price_books WHERE archived_at <= $__toTime
    ) AS book_days
