-- The bar of a chart that a line falls into, no shorter than what is read.
greatest($__interval_s, grain_s) AS bar_s,
toDateTime(intDiv(toUnixTimestamp(began), bar_s) * bar_s, 'UTC') AS bucket
