($__conditionalAll(1 = 0, $user) AND $__conditionalAll(1 = 0, $session))
