-- The text boxes of the drill-down as conditions; empty is All.
AND $__conditionalAll(if(user = '', '(none)', user) IN (${user:sqlstring}), $user)
AND $__conditionalAll(session IN (${session:sqlstring}), $session)
