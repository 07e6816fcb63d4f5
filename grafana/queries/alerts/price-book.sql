-- How many days ago each price book was new that lines of the last 60 minutes were made with: a writer that is not
-- refreshed shows beside one that is.
SELECT
    b.version AS price_book,
    dateDiff('second', toDateTime(b.archived_at, 'UTC'), $__toTime) / 86400 AS book_days
FROM
(
    SELECT DISTINCT price_book FROM llmcost.calls
    WHERE ts >= $__fromTime AND ts <= $__toTime AND price_book != ''
) AS c
INNER JOIN (SELECT version, min(price_books.archived_at) AS archived_at FROM llmcost.price_books GROUP BY version) AS b
    ON b.version = c.price_book
ORDER BY price_book
