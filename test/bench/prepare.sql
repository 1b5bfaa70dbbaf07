-- Tables of the bench: rows to train on (-v rows=...), rows to score (-v scored=...),
-- the figures.  Users, items and domains in the numbers of MovieLens-1M.
\ir schema.sql

-- place is the domain as a number, for PyTorch; a click depends on place and item.
CREATE TABLE bench.rows AS
SELECT user_id, item_id, place, 'place ' || place AS domain,
	   bench.uniform(4, n) < 0.6 * bench.uniform(5, 10 * item_id + place) AS clicked
FROM (SELECT n,
			 floor(6040 * bench.uniform(1, n) ^ 1.5)::int AS user_id,
			 floor(3952 * bench.uniform(2, n) ^ 1.5)::int AS item_id,
			 floor(7 * bench.uniform(3, n))::int AS place
	  FROM generate_series(1, :rows) AS n) AS drawn;

CREATE TABLE bench.scored AS
SELECT floor(6040 * bench.uniform(6, n))::int AS user_id,
	   floor(3952 * bench.uniform(7, n))::int AS item_id,
	   'place ' || floor(7 * bench.uniform(8, n))::int AS domain
FROM generate_series(1, :scored) AS n;

CREATE TABLE bench.run (what text, rows bigint, seconds float8);
VACUUM ANALYZE bench.rows, bench.scored;
