-- A model of about 50 MB.  Variable: categories.
CREATE EXTENSION IF NOT EXISTS moemlora;
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
SELECT count(moemlora_drop(name)) FROM moemlora.models WHERE name = 'latency'
\g /dev/null
CREATE TABLE bench.shown AS
SELECT g AS a, g / 2 AS b, (g % 3)::text AS place, hashint4(g) % 2 = 0 AS clicked FROM generate_series(1, :categories) AS g;
SELECT count(*) FROM moemlora_train('latency', 'bench.shown', 'clicked', 'place', NULL,
	'{"recipe": "gated", "epochs": 1, "embedding_dim": 32, "validation": 0}')
\g /dev/null
SELECT format('model: %s of stored bytes', pg_size_pretty(sum(octet_length(c.data))))
FROM moemlora.component AS c
JOIN moemlora.version AS v ON v.id = c.version_id
JOIN moemlora.model AS m ON m.id = v.model_id
WHERE m.name = 'latency'
\g (format=unaligned tuples_only=on)
