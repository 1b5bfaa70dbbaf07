-- The rows of one size, to train on and to score: table bench."<size>".
-- Variables: size, features (how many), rows.
-- Of feature f there are 6040 / f^1.5 values, the smaller ones more often; place is
-- the domain as a number, for PyTorch; a click depends on place and f1.
SELECT format(
	'CREATE TABLE bench.%I AS
	 SELECT drawn.*, ''place '' || place AS domain, bench.uniform(1, n) < 0.6 * bench.uniform(2, 10 * f1 + place) AS clicked
	 FROM (SELECT n, %s, floor(7 * bench.uniform(3, n))::int AS place FROM generate_series(1, %s) AS n) AS drawn',
	:'size', string_agg(format('floor(%s * bench.uniform(%s, n) ^ 1.5)::int AS f%s', ceil(6040 / f ^ 1.5), 10 + f, f), ', ' ORDER BY f), :'rows')
FROM generate_series(1, :features) AS f
\gexec
SELECT format('ALTER TABLE bench.%I ADD PRIMARY KEY (n)', :'size')
\gexec
SELECT format('VACUUM ANALYZE bench.%I', :'size')
\gexec
