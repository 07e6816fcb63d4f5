-- Who holds a conversation.
multiIf(agent != '', ('agent', toString(agent)), feature != '', ('feature', toString(feature)), ('service', toString(service)))
