-- Rows of one point, as table bench.grown.  Variables: rows, columns (of a SELECT with
-- n and domains), domains.
DROP TABLE IF EXISTS bench.grown;
CREATE UNLOGGED TABLE bench.grown AS
SELECT :columns, 'd' || (bench.draw(1, n) % :domains) AS domain, bench.draw(2, n) % 10 < 3 AS clicked
FROM generate_series(1, :rows) AS n;
