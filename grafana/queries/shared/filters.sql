-- The dashboard's variables as conditions. All of a variable is 1=1, so a list of 10,000 customers never becomes part of
-- a statement. sqlstring quotes what the plugin itself would put in raw (O'Neil).
-- A dimension that nobody set is '' in the ledger and "(none)" in the list: an empty choice would mean All.
AND $__conditionalAll(if(environment = '', '(none)', environment) IN (${environment:sqlstring}), $environment)
AND $__conditionalAll(if(service = '', '(none)', service) IN (${service:sqlstring}), $service)
AND $__conditionalAll(if(provider = '', '(none)', provider) IN (${provider:sqlstring}), $provider)
AND $__conditionalAll(if(model = '', '(none)', model) IN (${model:sqlstring}), $model)
AND $__conditionalAll(if(team = '', '(none)', team) IN (${team:sqlstring}), $team)
AND $__conditionalAll(if(feature = '', '(none)', feature) IN (${feature:sqlstring}), $feature)
AND $__conditionalAll(if(customer = '', '(none)', customer) IN (${customer:sqlstring}), $customer)
AND $__conditionalAll(if(agent = '', '(none)', agent) IN (${agent:sqlstring}), $agent)
AND $__conditionalAll(if(workflow = '', '(none)', workflow) IN (${workflow:sqlstring}), $workflow)
