arrayStringConcat(arraySlice(splitByChar('|', ${anomaly:sqlstring}), 5), '|')
