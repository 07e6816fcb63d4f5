-- The anomaly that is chosen is "id|kind|first second|last second|key"; a key may hold anything.
splitByChar('|', ${anomaly:sqlstring})[2]
