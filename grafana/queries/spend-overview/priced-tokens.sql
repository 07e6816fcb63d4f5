-- Share of tokens that belong to calls with a price. No row without tokens.
SELECT 1 - sum(unpriced_tokens) / sum(tokens) AS share
FROM {{lines}}
HAVING sum(tokens) > 0
