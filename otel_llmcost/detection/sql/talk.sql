-- What holds the calls of a conversation together.
if(session != '', session, if(run != '', run, trace_id))
