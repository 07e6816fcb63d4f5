-- How far back the other period lies: as chosen, or as long as the time range, in whole hours.
if(${against:sqlstring} = '0', intDiv({{range_s}} + 3599, 3600) * 3600, toInt64OrZero(${against:sqlstring}))
