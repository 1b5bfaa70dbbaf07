-- The table of the backbones and its JSON.  Variables: runs, rate (which column counts), backbones,
-- peer, cpu, cores, torch, load.
\pset footer off
\pset null -
CREATE TABLE bench.figure AS
SELECT backbone, size, what, max(rows) AS rows, min(rate / cpu_rate) AS least_share,
	   percentile_cont(0.5) WITHIN GROUP (ORDER BY :rate) AS rate
FROM bench.run WHERE round > 0 GROUP BY backbone, size, what;

CREATE TABLE bench.result AS
SELECT *, phase / train_peer AS phase_ratio, call / train_peer AS call_ratio, score / score_peer AS score_ratio
FROM (SELECT backbone, size, max(rows) FILTER (WHERE what = 'train, call') AS trained,
			 max(rate) FILTER (WHERE what = 'train, phase') AS phase, max(rate) FILTER (WHERE what = 'train, call') AS call,
			 max(rate) FILTER (WHERE what = 'train, PyTorch') AS train_peer,
			 max(rows) FILTER (WHERE what = 'score') AS scored,
			 max(rate) FILTER (WHERE what = 'score') AS score, max(rate) FILTER (WHERE what = 'score, PyTorch') AS score_peer
	  FROM bench.figure GROUP BY backbone, size) AS measured
LEFT JOIN bench.form USING (backbone, size);

\echo
SELECT backbone, size, trained, round(phase) AS "train, phase", round(call) AS "train, call",
	   round(train_peer) AS "PyTorch", round(phase_ratio::numeric, 2) AS "phase : PyTorch",
	   round(call_ratio::numeric, 2) AS "call : PyTorch", scored, round(score) AS score,
	   round(score_peer) AS "PyTorch, score", round(score_ratio::numeric, 2) AS "score : PyTorch"
FROM bench.result
ORDER BY split_part(size, 'x', 1)::int, split_part(size, 'x', 2)::int, array_position(:'backbones'::text[], backbone);

\t on
\pset format unaligned
SELECT format('%s: %s of %s reach it%s.', what, count(*) FILTER (WHERE is_reached), count(*),
			  ', not: ' || string_agg(backbone || ' ' || size, ', ') FILTER (WHERE NOT is_reached))
FROM bench.result, LATERAL (VALUES (1, 'Training, phase (asked: 1.5)', phase_ratio >= 1.5),
								   (2, 'Training, call (asked: 1.5)', call_ratio >= 1.5),
								   (3, 'Scoring (asked: more than 1.0)', score_ratio > 1.0)) AS asked (place, what, is_reached)
WHERE is_reached IS NOT NULL
GROUP BY place, what ORDER BY place;
\echo
SELECT format('PyTorch with %s, %s gradients of the tables, in scoring batches of %s: %s.', form->>'dropout', form->>'tables',
			  form->>'score_batch', string_agg(backbone || ' ' || size, ', '))
FROM bench.form GROUP BY form ORDER BY count(*) DESC, form;
SELECT format(E'\nMedians over %s round(s), rows per second%s; %s, %s cores, one used; load average %s.\nEvery process had at least %s of a core.\nPostgreSQL %s; moemlora %s; PyTorch %s.',
			  :'runs', CASE :'rate' WHEN 'cpu_rate' THEN ' of CPU time' ELSE '' END, :'cpu', :'cores', :'load',
			  (SELECT round(min(least_share)::numeric, 2) FROM bench.figure),
			  current_setting('server_version'), extversion, :'torch')
FROM pg_extension WHERE extname = 'moemlora';
\t off

CREATE TABLE bench.json AS
SELECT jsonb_pretty(jsonb_build_object(
		   'cpu', :'cpu', 'cores', :cores, 'load_average', :'load', 'rate', :'rate', 'runs', :runs, 'peer', :'peer',
		   'postgresql', current_setting('server_version'), 'moemlora', extversion, 'pytorch', :'torch',
		   'results', (SELECT jsonb_agg(result) FROM bench.result),
		   'rounds', (SELECT jsonb_agg(run) FROM bench.run WHERE round > 0))) AS json
FROM pg_extension WHERE extname = 'moemlora';
