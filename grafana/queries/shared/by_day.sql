-- Where totals by the day are read: customers are chosen. They know no agents: with both chosen, nothing is known
-- beyond a day.
NOT ({{all_customers}}) AND {{all_agents}} AND {{range_s}} > 86400
