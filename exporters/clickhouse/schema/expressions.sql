-- How what `call_versions` stores is read. `{name}` in a migration stands for the expression below `-- {name}` here. A
-- released expression is never edited: it is part of the checksum of every migration that uses it.

-- Words that go with a model lie in one, separated by tabs.

-- {provider}
replaceAll(replaceAll(substringIndex(facets, '\t', 1), '\\t', '\t'), '\\b', '\\');

-- {model}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 2), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {requested_model}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 3), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {host}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 4), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {operation}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 5), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {service_tier}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 6), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {price_id}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 7), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {price_book}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 8), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {source}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 9), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {emitter}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 10), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {usage_rule}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 11), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- {price_context}
replaceAll(replaceAll(substringIndex(substringIndex(facets, '\t', 12), '\t', -1), '\\t', '\t'), '\\b', '\\');

-- Amounts are rate × tokens + rest. Rates are whole 1e-12 USD, separated by blanks; so is a Decimal(18, 12) in memory.

-- {pico_input}
toInt64(substringIndex(rates, ' ', 1)) * toInt64(input_tokens - cache_read_tokens - cache_write_tokens);

-- {pico_output}
toInt64(substringIndex(substringIndex(rates, ' ', 2), ' ', -1)) * toInt64(output_tokens);

-- {pico_cache_read}
toInt64(substringIndex(substringIndex(rates, ' ', 3), ' ', -1)) * toInt64(cache_read_tokens);

-- {pico_cache_write}
toInt64(substringIndex(substringIndex(rates, ' ', 4), ' ', -1)) * toInt64(cache_write_tokens);

-- {pico_cache_savings}
toInt64(substringIndex(substringIndex(rates, ' ', 5), ' ', -1)) * toInt64(cache_read_tokens);

-- {rated_input}
reinterpret({pico_input}, 'Decimal(18, 12)');

-- {rated_output}
reinterpret({pico_output}, 'Decimal(18, 12)');

-- {rated_cache_read}
reinterpret({pico_cache_read}, 'Decimal(18, 12)');

-- {rated_cache_write}
reinterpret({pico_cache_write}, 'Decimal(18, 12)');

-- {rated_cache_savings}
reinterpret({pico_cache_savings}, 'Decimal(18, 12)');

-- {rated}
reinterpret({pico_input} + {pico_output} + {pico_cache_read} + {pico_cache_write}, 'Decimal(18, 12)');

-- {cost_usd}
cost_rest + {rated};

-- {list_cost_usd}
list_cost_rest + ifNull({cost_usd}, 0);

-- {input_cost_usd}
input_cost_rest + {rated_input};

-- {output_cost_usd}
output_cost_rest + {rated_output};

-- {cache_read_cost_usd}
cache_read_cost_rest + {rated_cache_read};

-- {cache_write_cost_usd}
cache_write_cost_rest + {rated_cache_write};

-- {cache_savings_usd}
cache_savings_rest + {rated_cache_savings};
