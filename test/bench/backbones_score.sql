-- Scores rows of a table in a new session and notes the figure.  Variables: backbone,
-- size, rows, round.
SELECT clock_timestamp() AS start, bench.cpu_seconds() AS cpu_start
\gset
SELECT sum(moemlora_predict('bench', domain, r)), count(*) FROM bench.:"size" AS r WHERE n <= :rows
\g /dev/null
SELECT extract(epoch FROM clock_timestamp() - :'start') AS seconds, bench.cpu_seconds() - :'cpu_start' AS cpu_seconds
\gset
INSERT INTO bench.run
VALUES (:'backbone', :'size', :round, 'score', :rows, :rows / :seconds, :rows / :'cpu_seconds'::float8);
