-- Where the range is short enough to read single calls: 6 hours; a day, where customers are chosen, for no totals by
-- the hour know them.
{{range_s}} <= if({{all_customers}}, 21600, 86400)
