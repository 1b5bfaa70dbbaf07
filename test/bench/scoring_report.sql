-- The tables of scoring.sh.  Variables: runs, rows, cpu, cores, torch, load.
\pset footer off
\pset null -
CREATE TABLE bench.figure AS
SELECT size, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) AS rate FROM bench.run GROUP BY size, what;

CREATE FUNCTION bench.rate(size text, what text) RETURNS float8
LANGUAGE sql STABLE
RETURN (SELECT f.rate FROM bench.figure AS f WHERE (f.size, f.what) = (rate.size, rate.what));

\echo
SELECT size, name AS rows, f AS function, round(bench.rate(size, f || ' ' || name)) AS "rows/s",
	   round(bench.rate(size, 'core ' || f || ' ' || name)) AS "core's limit",
	   round((bench.rate(size, f || ' ' || name) / bench.rate(size, 'core ' || f || ' ' || name))::numeric, 2) AS share,
	   round((bench.rate(size, f || ' ' || name) / bench.rate(size, f || ' random'))::numeric, 2) AS "to random"
FROM (SELECT DISTINCT size FROM bench.figure) AS sizes, (VALUES (1, 'random'), (2, 'shared')) AS n (place, name),
	 (VALUES (1, 'predict'), (2, 'score')) AS functions (f_place, f)
ORDER BY split_part(size, 'x', 1)::int, f_place, place;
SELECT size, round(bench.rate(size, 'score random')) AS backbone, round(bench.rate(size, 'gate domain')) AS "gate = domain",
	   round((bench.rate(size, 'gate domain') / bench.rate(size, 'score random'))::numeric, 2) AS ": backbone",
	   round(bench.rate(size, 'gate input')) AS "gate = input", round(bench.rate(size, 'PyTorch backbone')) AS "PyTorch, backbone",
	   round(bench.rate(size, 'PyTorch input')) AS "PyTorch, gate = input",
	   round((bench.rate(size, 'gate input') / bench.rate(size, 'PyTorch input'))::numeric, 2) AS "input : PyTorch"
FROM (SELECT DISTINCT size FROM bench.figure) AS sizes
ORDER BY split_part(size, 'x', 1)::int;

\t on
\pset format unaligned
SELECT format(E'Medians over %s round(s) of %s rows, per second of CPU time; %s, %s cores, one used; load average %s.\nPostgreSQL %s; moemlora %s; PyTorch %s.',
			  :'runs', :'rows', :'cpu', :'cores', :'load', current_setting('server_version'), extversion, :'torch')
FROM pg_extension WHERE extname = 'moemlora';
