dateDiff('second', $__fromTime, $__toTime)
