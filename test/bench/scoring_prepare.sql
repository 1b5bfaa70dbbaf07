-- What scoring.sh notes its figures in: rows a second of CPU time.
\ir schema.sql
SELECT moemlora_drop(name) FROM moemlora.models WHERE name IN ('bench domain', 'bench input')
\g /dev/null
CREATE TABLE bench.run (size text, what text, rate float8);
