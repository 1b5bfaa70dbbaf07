-- Rows to score, and to train on: table bench.<name>.  Variables: name, features, shared, rows.
-- Feature f has 500 f values; the first `shared` ones and the domain stay the same for
-- 1000 rows each time, as those of a user do who is shown many items.  The same as in core.c.
SELECT format('DROP TABLE IF EXISTS bench.%I', :'name')
\gexec
SELECT format('CREATE TABLE bench.%I AS SELECT n::int, %s, (%s %% 7)::text AS domain, bench.uniform(1, n) < 0.5 AS clicked FROM generate_series(1, %s::bigint) AS n',
			  :'name', string_agg(format('floor(%s * bench.uniform(%s, %s))::int AS f%s', 500 * f, f + 10, CASE WHEN f <= :shared THEN 'n / 1000' ELSE 'n' END, f), ', ' ORDER BY f),
			  CASE WHEN :shared > 0 THEN 'n / 1000' ELSE 'n' END, :'rows')
FROM generate_series(1, :features) AS f
\gexec
SELECT format('VACUUM ANALYZE bench.%I', :'name')
\gexec
