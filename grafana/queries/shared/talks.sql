-- Conversations of the whole days of the time range, each day on its own, filtered. Their totals know neither providers
-- and models nor customers and workflows: where those are chosen, nothing.
(
    SELECT *
    FROM
    (
        SELECT *, '' AS provider, '' AS model, '' AS customer, '' AS workflow
        FROM llmcost.conversations_daily
    )
    WHERE {{all_customers}} AND $__conditionalAll(1 = 0, $provider) AND $__conditionalAll(1 = 0, $model)
    AND $__conditionalAll(1 = 0, $workflow)
    AND {{in_days}}
    {{filters}}
)
