-- The dimension that "Side by side" compares values of.
multiIf(
    ${by:sqlstring} = 'model', model, ${by:sqlstring} = 'team', team, ${by:sqlstring} = 'service', service,
    ${by:sqlstring} = 'agent', agent, ${by:sqlstring} = 'workflow', workflow, ${by:sqlstring} = 'provider', provider,
    ${by:sqlstring} = 'environment', environment, feature
)
