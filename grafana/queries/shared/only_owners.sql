-- Nothing is chosen but teams, customers, users: what totals by user know.
$__conditionalAll(1 = 0, $environment) AND $__conditionalAll(1 = 0, $service) AND $__conditionalAll(1 = 0, $provider)
AND $__conditionalAll(1 = 0, $model) AND $__conditionalAll(1 = 0, $feature) AND {{all_agents}}
AND $__conditionalAll(1 = 0, $session)
