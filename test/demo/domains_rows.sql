-- What is in table interactions of a schema (-v schema=...).
SELECT format('%s rows, %s users, %s items, %s %% positive; %s rows train, %s validate, %s test',
			  count(*), count(DISTINCT user_id), count(DISTINCT item_id), round(100 * avg(moemlora_label)::numeric, 1),
			  count(*) FILTER (WHERE moemlora_split = 'train'), count(*) FILTER (WHERE moemlora_split = 'valid'),
			  count(*) FILTER (WHERE moemlora_split = 'test'))
FROM :schema.interactions
\g (format=unaligned tuples_only=on)
