-- Scores rows of a table in a new session and notes the figure.  Variables: backbone,
-- size, rows, round.
SELECT clock_timestamp() AS start, bench.cpu_seconds() AS cpu_start
\gset
SELECT sum(score), count(*) FROM (SELECT moemlora_score('bench', domain, r) OVER () AS score FROM bench.:"size" AS r WHERE n <= :rows) AS s
\g /dev/null
SELECT extract(epoch FROM clock_timestamp() - :'start') AS seconds, bench.cpu_seconds() - :'cpu_start' AS cpu_seconds
\gset
INSERT INTO bench.run
VALUES (:'backbone', :'size', :round, 'score', :rows, :rows / :seconds, :rows / :'cpu_seconds'::float8);
