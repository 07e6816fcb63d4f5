-- How large conversations get and how often one repeats a call, of 99 of 100 in the two weeks before `from`, by agent,
-- else feature, else service, into series_usual (measures conversation_tokens and conversation_repeats; hours_known
-- counts conversations). Once a day: of at most the 50,000 newest.
INSERT INTO {database}.series_usual
    (series_kind, series_key, hour, measure, usual, lately, hourly, spread, hour_calls, hours_known)
WITH
    talks AS
    (
        SELECT place, talk, max(tokens) AS largest, max(same) AS often, max(last_ts) AS last
        FROM
        (
            SELECT
                {{place}} AS place, {{talk}} AS talk, model, input_tokens, output_tokens,
                max(toFloat64(input_tokens)) AS tokens, count() AS same, max(ts) AS last_ts
            FROM {database}.calls
            WHERE ts >= {from:DateTime('UTC')} - 14 * 86400 AND ts < {from:DateTime('UTC')} AND talk != '' AND usage_known
            GROUP BY place, talk, model, input_tokens, output_tokens
        )
        GROUP BY place, talk
        ORDER BY last DESC
        LIMIT 50000
    )
SELECT place.1, place.2, {from:DateTime('UTC')}, measure.1, measure.2, measure.2, measure.2, 0., 0., least(talks_known, 65535)
FROM (SELECT place, quantileExact(0.99)(largest) AS large, quantileExact(0.99)(often) AS times, count() AS talks_known
      FROM talks GROUP BY place)
ARRAY JOIN [('conversation_tokens', large), ('conversation_repeats', toFloat64(times))] AS measure;
