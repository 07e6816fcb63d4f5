-- Do conversations grow without end, or does one repeat itself? Judges the conversations with a call in [from, to) by
-- their calls of the last 2 hours, into anomaly_signals of who holds them: the agent, else the feature, else the service.
--   token_growth   a history that is never trimmed: 8 calls or more, each with more input than the one before (rank
--                  correlation of turn and input tokens 0.9 or more), that end at 4 times the first or more, and above
--                  what 99 of 100 conversations of that place ever reach
--   repeated_call  the same call again and again: same model, input and output tokens, 10 times or more, and more often
--                  than 99 of 100 conversations do
-- Only where at least 20 conversations are known: what is usual is not known elsewhere.
INSERT INTO {database}.anomaly_signals
WITH
    lines AS
    (
        SELECT
            ts, {{place}} AS place, {{talk}} AS talk,
            toFloat64(input_tokens) AS tokens,
            toFloat64(ifNull(cost_usd, 0)) AS usd,
            count() OVER (PARTITION BY place, talk, model, input_tokens, output_tokens) AS same
        FROM {database}.calls
        WHERE ts >= {from:DateTime('UTC')} - 7200 AND ts < {to:DateTime('UTC')} AND talk != '' AND usage_known
    ),
    talks AS
    (
        SELECT
            place, talk,
            count() AS n,
            arrayMap(x -> x.2, arraySort(x -> x.1, groupArray(500)((ts, tokens)))) AS sizes,
            max(ts) AS last,
            sum(usd) AS cost,
            max(same) AS most_repeated,
            sumIf(usd, same >= 10) AS repeats_usd
        FROM lines
        GROUP BY place, talk
        HAVING last >= {from:DateTime('UTC')}
    ),
    usual AS
    (
        SELECT
            (toString(series_kind), series_key) AS place,
            argMaxIf(usual, hour, measure = 'conversation_tokens') AS large,
            argMaxIf(usual, hour, measure = 'conversation_repeats') AS often
        FROM {database}.series_usual
        WHERE measure IN ('conversation_tokens', 'conversation_repeats')
        AND hour >= {from:DateTime('UTC')} - 2 * 86400 AND hour < {to:DateTime('UTC')} AND hours_known >= 20
        GROUP BY place
    ),
    judged AS
    (
        SELECT
            t.place AS place, t.last AS last, t.cost AS cost,
            greatest(t.sizes[1], 1) AS begun,
            arrayMax(t.sizes) AS largest,
            t.n >= 8 AND largest >= 4 * begun AND largest > u.large
                AND arrayReduce('rankCorr', arrayMap(i -> toFloat64(i), arrayEnumerate(t.sizes)), t.sizes) >= 0.9 AS grows,
            t.most_repeated >= 10 AND t.most_repeated > u.often AS repeats,
            -- what the later turns cost beyond turns as large as the first
            t.cost * (1 - least(begun * length(t.sizes) / arraySum(t.sizes), 1)) AS growth_usd,
            t.repeats_usd * (1 - 1 / t.most_repeated) AS repeated_usd,
            toFloat64(t.most_repeated) AS times
        FROM talks AS t
        INNER JOIN usual AS u ON u.place = t.place
    )
SELECT
    toStartOfHour(last, 'UTC') AS hour, place.1 AS kind, place.2 AS key, s.1 AS detector, 'rise' AS direction,
    min(toStartOfMinute(last, 'UTC')), max(toStartOfMinute(last, 'UTC')), toUInt32(120), toFloat64(0),
    max(s.2), sum(cost), sum(cost - s.3), sum(s.3)
FROM judged
CROSS JOIN {database}.detection_thresholds AS t
ARRAY JOIN arrayFilter(s -> s.4, [
    ('token_growth', largest / begun, growth_usd, toBool(grows)),
    ('repeated_call', times, repeated_usd, toBool(repeats))
]) AS s
GROUP BY hour, kind, key, detector
HAVING sum(s.3) >= any(t.min_excess_usd);
