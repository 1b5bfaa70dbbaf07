-- From version 0.1.0 to 0.2.0: what a checkpoint takes.

\echo Use "ALTER EXTENSION moemlora UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- The training lock (src/model_store_lock.c) tells who is at work: it goes with its process.
CREATE OR REPLACE VIEW moemlora.runs WITH (security_barrier) AS
SELECT
	m.name AS model,
	CASE WHEN EXISTS (
		SELECT FROM pg_locks l
		CROSS JOIN (SELECT hashtextextended(m.name, 0) AS hash) AS h
		WHERE l.locktype = 'advisory' AND l.pid = c.pid AND l.objsubid = 3
			AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
			AND l.classid = (h.hash >> 32 & 4294967295)::oid AND l.objid = (h.hash & 4294967295)::oid
	) THEN 'running' ELSE 'abandoned' END AS state,
	c.phase,
	c.epochs,
	round(c.fraction::numeric, 4) AS fraction,
	round(c.seconds::numeric, 1) AS seconds,
	date_trunc('second', c.started) AS started,
	date_trunc('second', c.saved) AS saved,
	c.pid,
	c.version,
	c.options,
	(SELECT sum(octet_length(p.data)) FROM moemlora.checkpoint_part p WHERE p.model_id = c.model_id)::bigint AS bytes
FROM moemlora.model m
JOIN moemlora.checkpoint c ON c.model_id = m.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner)
ORDER BY m.name;
COMMENT ON COLUMN moemlora.runs.bytes IS 'Size of its checkpoint in bytes; NULL: no epoch is done yet.';
