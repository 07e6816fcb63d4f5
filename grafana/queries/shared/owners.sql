-- Totals by user with the dimensions that they do not know, so that the filters can be written.
(
    SELECT *, '' AS environment, '' AS service, '' AS provider, '' AS model, '' AS feature, '' AS agent, '' AS workflow,
        '' AS session
    FROM llmcost.users_daily
)
