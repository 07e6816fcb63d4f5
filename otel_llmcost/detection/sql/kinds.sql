-- The series that a call belongs to.
[
    ('total', ''), ('team', toString(c.team)), ('feature', toString(c.feature)), ('agent', toString(c.agent)),
    ('model', toString(c.model)), ('customer', toString(c.customer)), ('user', c.user),
    ('service', toString(c.service)), ('host', toString(c.host))
]
