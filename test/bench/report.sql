-- The bench's table and its JSON.  Variables: cpu, cores, rows, epochs, scored, runs,
-- openblas, load_before, load_after.
CREATE TABLE bench.figure AS
SELECT item.part, item.item, item.place, item.title, item.asked, peer.peer, peer.missing, rounds.*,
	   first_value(rate) OVER (PARTITION BY item.part ORDER BY item.place) / rate AS ratio
FROM bench.item AS item LEFT JOIN bench.peer USING (peer)
LEFT JOIN (SELECT item, min(rows) AS rows, array_agg(seconds ORDER BY round) AS seconds,
				  percentile_cont(0.5) WITHIN GROUP (ORDER BY rows / seconds) AS rate,
				  min(rows / seconds) AS slowest, max(rows / seconds) AS fastest
		   FROM bench.run GROUP BY item) AS rounds (measured, rows, seconds, rate, slowest, fastest) ON measured = item.item;

-- Rows of the table: a part's title, then its figures; spread: half of what lies between the slowest and the fastest round.
\pset footer off
\echo
SELECT what, "rows/s", spread, "ours : it", asked FROM (
	SELECT part.place, 0, upper(title), NULL, NULL, NULL, NULL FROM bench.part
	UNION ALL
	SELECT part.place, figure.place, '  ' || figure.title,
		   coalesce(to_char(round(rate::numeric, -2), '99,999,999'), lpad('missing', 11)),
		   to_char(50 * (fastest - slowest) / rate, '"+-"990"%"'),
		   CASE WHEN ratio IS DISTINCT FROM 1 THEN round(ratio::numeric, 2) END,
		   asked || CASE WHEN ratio >= asked THEN ' reached' WHEN ratio < asked THEN ' MISSED' ELSE '' END
	FROM bench.figure AS figure JOIN bench.part AS part USING (part)) AS line (part, place, what, "rows/s", spread, "ours : it", asked)
ORDER BY part, place;

\t on
\pset format unaligned
SELECT format('%s: %s, to be had by%s    %s', name, missing, E'\n', install) FROM bench.peer WHERE missing IS NOT NULL;
SELECT format(E'\nMedians of %s rounds, one thread each; %s rows x %s epochs trained, %s rows scored, fewer by the slow.\n'
			  '%s, %s cores; load average %s before, %s after.\n'
			  'PostgreSQL %s; moemlora %s; OpenBLAS %s%s.',
			  :runs, :rows, :epochs, :scored, :'cpu', :'cores', :'load_before', :'load_after',
			  split_part(current_setting('server_version'), ' ', 1), extversion, :'openblas',
			  (SELECT string_agg(format('; %s %s', name, version), '' ORDER BY name) FROM bench.peer WHERE version IS NOT NULL))
FROM pg_extension WHERE extname = 'moemlora';
\t off

CREATE TABLE bench.json AS
SELECT jsonb_pretty(jsonb_build_object(
		   'cpu', :'cpu', 'cores', :cores,
		   'load_average', jsonb_build_object('before', :'load_before', 'after', :'load_after',
				'rounds', (SELECT jsonb_agg(load ORDER BY round) FROM bench.load)),
		   'settings', jsonb_build_object('rows', :rows, 'epochs', :epochs, 'scored', :scored, 'runs', :runs),
		   'versions', (SELECT jsonb_object_agg(name, version) FROM (
				SELECT 'PostgreSQL', current_setting('server_version') UNION ALL SELECT 'moemlora', extversion
				UNION ALL SELECT 'OpenBLAS', :'openblas'
				UNION ALL SELECT name, version FROM bench.peer WHERE version IS NOT NULL) AS version (name, version)),
		   'missing', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'why', missing, 'install', install)), '[]')
					   FROM bench.peer WHERE missing IS NOT NULL),
		   'figures', (SELECT jsonb_agg(jsonb_build_object('part', part.title, 'what', figure.title, 'rows', rows, 'seconds', to_jsonb(seconds),
								  'rows_per_second', rate, 'ours_to_it', ratio, 'asked', asked) ORDER BY part.place, figure.place)
					   FROM bench.figure AS figure JOIN bench.part AS part USING (part)))) AS json
FROM pg_extension WHERE extname = 'moemlora';
