-- The average conversation.
SELECT
    if(sum(c.conversations) = 0, NULL, sum(c.input_tokens + c.output_tokens) / sum(c.conversations)) AS tokens,
    if(sum(c.conversations) = 0, NULL, sum(c.calls) / sum(c.conversations)) AS turns,
    if(sum(c.calls) = 0, NULL, sum(c.input_tokens + c.output_tokens) / sum(c.calls)) AS tokens_per_turn
FROM {{talks}} AS c
