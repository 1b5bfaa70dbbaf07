-- The bench's table and its JSON.  Variables: runs, cpu, cores, torch, load.
\pset footer off
CREATE TABLE bench.figure AS
SELECT what, rows, count(*) AS runs,
	   percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds,
	   min(seconds) AS fastest, max(seconds) AS slowest
FROM bench.run GROUP BY what, rows;

\echo
SELECT what, rows, round(seconds::numeric, 3) AS "seconds, median", round(fastest::numeric, 3) AS fastest,
	   round(slowest::numeric, 3) AS slowest, round(rows / seconds) AS "rows/s"
FROM bench.figure ORDER BY what DESC, seconds;

-- What is asked: 1.5 times the faster PyTorch; 300,000 rows/s scored.
CREATE TABLE bench.verdict AS
SELECT our.seconds IS NOT NULL AS measured,
	   peer.seconds / our.seconds AS training_ratio,
	   scoring.rows / scoring.seconds AS scoring_rate
FROM bench.figure AS our
JOIN bench.figure AS scoring ON scoring.what = 'scoring, moemlora_predict'
LEFT JOIN (SELECT min(seconds) AS seconds FROM bench.figure WHERE what LIKE 'training, PyTorch%') AS peer ON true
WHERE our.what = 'training, moemlora';

\t on
\pset format unaligned
SELECT format('Training is %s times as fast as the faster PyTorch (asked: 1.5): %s.', round(training_ratio::numeric, 2),
			  CASE WHEN training_ratio >= 1.5 THEN 'reached' ELSE 'MISSED' END)
FROM bench.verdict WHERE training_ratio IS NOT NULL;
SELECT format('Scoring: %s rows/s (asked: 300000): %s.', round(scoring_rate),
			  CASE WHEN scoring_rate >= 300000 THEN 'reached' ELSE 'MISSED' END)
FROM bench.verdict;
SELECT format(E'\n%s runs each; %s, %s cores, one used; load average %s.\nPostgreSQL %s; moemlora %s; PyTorch %s.',
			  :'runs', :'cpu', :'cores', :'load', current_setting('server_version'), extversion, :'torch')
FROM pg_extension WHERE extname = 'moemlora';
\t off

CREATE TABLE bench.json AS
SELECT jsonb_pretty(jsonb_build_object(
		   'cpu', :'cpu', 'cores', :cores, 'load_average', :'load',
		   'postgresql', current_setting('server_version'), 'moemlora', extversion, 'pytorch', :'torch',
		   'training_ratio', training_ratio, 'scoring_rows_per_second', scoring_rate,
		   'figures', (SELECT jsonb_agg(jsonb_build_object('what', what, 'rows', rows, 'runs', runs, 'seconds', seconds,
								  'fastest', fastest, 'slowest', slowest, 'rows_per_second', rows / seconds) ORDER BY what)
					   FROM bench.figure))) AS json
FROM bench.verdict, pg_extension WHERE extname = 'moemlora';
