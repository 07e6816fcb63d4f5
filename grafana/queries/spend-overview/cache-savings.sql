-- What caching saved against uncached input; unpriced calls are not in it.
SELECT sum(cache_savings_usd) AS saved_usd
FROM {{lines}}
