-- The table of growth.sh and its JSON.  Variables: cpu, cores, load.
--
-- Each point is compared with the one before it: by which factor a figure of the whole
-- table grew, divided by the factor of what the axis counts, and by that of the rows
-- where these had to grow too.  What grows linearly has 1, what grows less has less.
-- steepest: the largest of a point, and what it is of.
\set LIMIT 1.25
CREATE TABLE bench.cost AS
SELECT number, axis, value, what, cost / lag(cost) OVER previous / (size / lag(size) OVER previous) AS growth
FROM bench.point, LATERAL (VALUES
	('training', train_seconds), ('score', score_seconds / score_rows * rows), ('predict', predict_seconds / score_rows * rows),
	('memory', took::float8)) AS cost (what, cost), LATERAL (
	SELECT value::float8 * CASE WHEN axis = 'rows' THEN 1 ELSE rows END) AS sized (size)
WINDOW previous AS (PARTITION BY axis, what ORDER BY number);

CREATE TABLE bench.steepest AS
SELECT DISTINCT ON (number) number, what, growth FROM bench.cost WHERE growth IS NOT NULL ORDER BY number, growth DESC;

\pset footer off
\pset null ''
\echo
SELECT axis, to_char(value, 'FM99,999,999') AS "grows to", to_char(rows, 'FM99,999,999') AS rows,
	   round((1e6 * train_seconds / rows)::numeric, 2) AS train,
	   round((1e6 * score_seconds / score_rows)::numeric, 2) AS score, round((1e6 * predict_seconds / score_rows)::numeric, 2) AS predict,
	   took AS took, train_peak AS peak, round(load_seconds::numeric, 2) AS load,
	   round(growth::numeric, 2) || ' ' || what AS steepest
FROM bench.point LEFT JOIN bench.steepest USING (number) ORDER BY number;

\t on
\pset format unaligned
SELECT format('train, score, predict: microseconds of processor time a row; took, peak: MB; load: seconds.%s'
			  'Worse than linear (more than %s): %s.%s%s, %s cores, one used; load average %s.%sPostgreSQL %s; moemlora %s.',
			  E'\n', :LIMIT,
			  coalesce((SELECT string_agg(format('%s with %s at %s (%s)', what, axis, value, round(growth::numeric, 2)), ', ' ORDER BY number, what)
						FROM bench.cost WHERE growth > :LIMIT), 'nothing'),
			  E'\n', :'cpu', :'cores', :'load', E'\n', split_part(current_setting('server_version'), ' ', 1), extversion)
FROM pg_extension WHERE extname = 'moemlora';
\t off

CREATE TABLE bench.json AS
SELECT jsonb_pretty(jsonb_build_object(
		   'cpu', :'cpu', 'cores', :cores, 'load_average', :'load',
		   'postgresql', current_setting('server_version'), 'moemlora', extversion,
		   'points', (SELECT jsonb_agg(to_jsonb(point) - 'number' || jsonb_build_object('growth',
							(SELECT jsonb_object_agg(what, growth) FROM bench.cost WHERE cost.number = point.number)) ORDER BY number)
					  FROM bench.point))) AS json
FROM pg_extension WHERE extname = 'moemlora';
