-- The price books that lines were made with, newest first, and how many days ago each was new.
SELECT
    version,
    data_version,
    overlays,
    toDateTime(min(b.archived_at), 'UTC') AS since,
    greatest(0, dateDiff('second', since, $__toTime)) / 86400 AS age_days
FROM llmcost.price_books AS b
GROUP BY version, data_version, overlays
ORDER BY since DESC, version
LIMIT 20
