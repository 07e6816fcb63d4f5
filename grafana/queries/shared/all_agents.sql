($__conditionalAll(1 = 0, $agent) AND $__conditionalAll(1 = 0, $workflow))
