-- Scores a table in a new session, the model loaded before and without JIT, whose cost is
-- the same for any number of rows, and notes the figure.
-- Variables: size, what, model, function, window, name, rows (how many there are).
SET jit = off;
SELECT :function(:'model', domain, r) :window FROM bench.:name AS r LIMIT 1
\g /dev/null
SELECT bench.cpu_seconds() AS cpu_start
\gset
SELECT sum(score) FROM (SELECT :function(:'model', domain, r) :window AS score FROM bench.:name AS r) AS s
\g /dev/null
SELECT bench.cpu_seconds() - :'cpu_start' AS cpu_seconds
\gset
INSERT INTO bench.run VALUES (:'size', :'what', :rows / :'cpu_seconds'::float8);
