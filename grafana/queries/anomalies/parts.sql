-- The difference split into its causes; their sum is the difference.
SELECT
    transform(part, ['volume', 'mix', 'tokens', 'cache', 'price'],
        ['more calls', 'other models', 'longer calls', 'less from the cache', 'dearer prices'], part) AS cause,
    toFloat64(change_usd) AS change_usd
FROM
(
    {{detection_explain_parts}}
)
WHERE {{anomaly_kind}} != ''
ORDER BY abs(change_usd) DESC, cause
