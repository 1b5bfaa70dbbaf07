-- the registry: versions, names and rights of models that are there
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE clicks AS
SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked FROM generate_series(1, 500) AS i;
CREATE SEQUENCE seeds;
CREATE FUNCTION train(model text DEFAULT 'keep') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM moemlora_train(model, 'clicks', 'clicked', 'place', ARRAY['user_id'],
		format('{"epochs": 1, "hidden": [4], "method": "backbone", "seed": %s}', nextval('seeds'))::jsonb)
$$;
CREATE FUNCTION versions(model text DEFAULT 'keep') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(version || CASE WHEN is_current THEN ' (current)' ELSE '' END, ', ' ORDER BY version)
	FROM moemlora.versions AS v WHERE v.model = versions.model
$$;
SELECT count(train()) FROM generate_series(1, 5);
SET client_min_messages = notice;
SELECT versions();

-- promote: any version, and back from there
SELECT moemlora_promote('keep', 2);
SELECT versions();
SELECT current_version, previous_version FROM moemlora.models WHERE name = 'keep';
SELECT moemlora_promote('keep', 2);
SELECT moemlora_rollback('keep'), versions();
SELECT versions();

-- each rollback goes one further back, and none goes to a version that another one left
SELECT moemlora_rollback('keep');
SELECT moemlora_rollback('keep');
SELECT moemlora_rollback('keep');
SELECT moemlora_rollback('keep');
SELECT versions(), previous_version FROM moemlora.models WHERE name = 'keep';
SELECT moemlora_promote('keep', 5);
SELECT moemlora_rollback('keep');
SELECT moemlora_promote('keep', 3), moemlora_promote('keep', 1), moemlora_promote('keep', 3);
SELECT moemlora_rollback('keep'), moemlora_rollback('keep');
SELECT versions();

-- a training makes its version current, and rollback leads back
SET client_min_messages = warning;
SELECT train();
SELECT moemlora_rollback('keep');
RESET client_min_messages;

-- dropping one version: never the current one; no way leads back to it, and its number is not used again
SELECT moemlora_promote('keep', 3), moemlora_promote('keep', 4), moemlora_promote('keep', 5);
SELECT moemlora_drop_version('keep', 5);
SELECT moemlora_drop_version('keep', 4), moemlora_drop_version('keep', 6);
SELECT moemlora_drop_version('keep', 6);
SELECT moemlora_promote('keep', 6);
SELECT moemlora_rollback('keep');
SET client_min_messages = warning;
SELECT train();
RESET client_min_messages;
SELECT versions();
SELECT count(*) AS rows_without_version FROM moemlora.component c FULL JOIN moemlora.version v ON v.id = c.version_id
WHERE v.id IS NULL OR c.data IS NULL;

-- pruning: the newest ones stay, and the current one
SELECT moemlora_promote('keep', 2);
SELECT moemlora_prune('keep', 10);
SELECT moemlora_prune('keep', 2), versions();
SELECT versions();
SELECT moemlora_rollback('keep');
SELECT moemlora_rollback('keep');
SELECT moemlora_prune('keep', 0);
SELECT versions();
SELECT moemlora_prune('keep', 0);
SELECT moemlora_rollback('keep');
SELECT moemlora_drop_version('keep', 7);
SELECT moemlora_drop_version('keep', 5);
SELECT versions();

-- what a transaction does is gone at its rollback, and a savepoint's too
BEGIN;
SELECT moemlora_rename('keep', 'kept'), moemlora_grant('kept', 'public');
SAVEPOINT a;
SELECT moemlora_drop('kept');
SELECT count(*) FROM moemlora.models WHERE name IN ('keep', 'kept');
ROLLBACK TO a;
SELECT name, grantee FROM moemlora.models JOIN moemlora.grants ON model = name WHERE name IN ('keep', 'kept');
ROLLBACK;
SELECT name, grantee FROM moemlora.models LEFT JOIN moemlora.grants ON model = name WHERE name IN ('keep', 'kept');

-- one statement keeps to the version that it began with
SET client_min_messages = warning;
SELECT train();
RESET client_min_messages;
SELECT moemlora_predict('keep', 'place 1', '{"user_id": 7}') AS before \gset
WITH promoted AS MATERIALIZED (SELECT moemlora_rollback('keep') AS version)
SELECT version, moemlora_predict('keep', 'place 1', '{"user_id": 7}') = :'before'::real AS is_as_before FROM promoted;
SELECT moemlora_predict('keep', 'place 1', '{"user_id": 7}') = :'before'::real AS is_as_before;

-- names
SET client_min_messages = warning;
SELECT train('other');
RESET client_min_messages;
SELECT moemlora_rename('keep', 'other');
SELECT moemlora_rename('keep', 'keep');
SELECT moemlora_rename('keep', '');
SELECT moemlora_rename('keep', repeat('x', 256));
SELECT moemlora_rename('keep', n) FROM (SELECT repeat('é', 127) || 'x' AS n) AS t;
SELECT octet_length(name) FROM moemlora.models WHERE name LIKE 'é%';
SELECT moemlora_rename(name, 'keep') FROM moemlora.models WHERE name LIKE 'é%';
SELECT moemlora_predict('keep', 'place 1', '{"user_id": 7}') BETWEEN 0 AND 1 AS it_scores, versions();
SELECT moemlora_rename('keep', ' '), moemlora_rename(' ', 'Keep'), moemlora_rename('Keep', 'keep');

-- rights
CREATE ROLE regress_moemlora_alice;
CREATE ROLE regress_moemlora_bob;
CREATE ROLE "regress_moemlora_O'Neil, ""x"";--";
SELECT moemlora_owner_to('keep', 'regress_moemlora_alice');
SELECT owner FROM moemlora.models WHERE name = 'keep';
SET ROLE regress_moemlora_bob;
SELECT moemlora_predict('keep', 'place 1', '{"user_id": 7}');
SELECT moemlora_promote('keep', 5);
SELECT * FROM moemlora.grants;
SET ROLE regress_moemlora_alice;
SELECT moemlora_grant('keep', 'regress_moemlora_bob'), moemlora_grant('keep', 'regress_moemlora_bob'),
	moemlora_grant('keep', 'regress_moemlora_O''Neil, "x";--');
\set VERBOSITY sqlstate
SELECT moemlora_owner_to('keep', 'regress_moemlora_bob');
\set VERBOSITY default
SET ROLE regress_moemlora_bob;
SELECT moemlora_predict('keep', 'place 1', '{"user_id": 7}') BETWEEN 0 AND 1 AS it_scores;
SELECT * FROM moemlora.grants;
SELECT moemlora_grant('keep', 'public');
SET ROLE regress_moemlora_alice;
SELECT moemlora_revoke('keep', 'regress_moemlora_bob'), moemlora_revoke('keep', 'regress_moemlora_O''Neil, "x";--');
SELECT moemlora_revoke('keep', 'regress_moemlora_bob');
SELECT moemlora_grant('keep', 'public');
SELECT moemlora_revoke('keep', 'public');
SELECT moemlora_revoke('keep', 'public');
SELECT * FROM moemlora.grants;
RESET ROLE;
SELECT moemlora_grant('keep', 'no such role');
SELECT moemlora_revoke('keep', 'no such role');
SELECT moemlora_owner_to('keep', 'no such role');
SELECT moemlora_owner_to('keep', 'public');

-- a role that is gone: the right goes by its name, and can be taken back
SELECT moemlora_grant('keep', 'regress_moemlora_bob');
DROP ROLE regress_moemlora_bob;
SELECT grantee, role_exists FROM moemlora.grants WHERE model = 'keep';
SELECT moemlora_revoke('keep', 'regress_moemlora_bob');
SELECT grantee, role_exists FROM moemlora.grants WHERE model = 'keep';
DROP ROLE regress_moemlora_alice, "regress_moemlora_O'Neil, ""x"";--";
SELECT owner, moemlora_owner_to('keep', current_user) FROM moemlora.models WHERE name = 'keep';
SELECT owner = current_user AS is_mine FROM moemlora.models WHERE name = 'keep';

-- what does not exist is one class of error for all
\set VERBOSITY sqlstate
SELECT moemlora_promote('nothing', 1);
SELECT moemlora_rollback('nothing');
SELECT moemlora_drop_version('nothing', 1);
SELECT moemlora_prune('nothing', 1);
SELECT moemlora_rename('nothing', 'something');
SELECT moemlora_grant('nothing', 'public');
SELECT moemlora_revoke('nothing', 'public');
SELECT moemlora_owner_to('nothing', current_user);
SELECT moemlora_drop('nothing');
SELECT moemlora_promote('keep', 0);
SELECT moemlora_promote('keep', -1);
SELECT moemlora_drop_version('keep', 2147483647);
\set VERBOSITY default
SELECT moemlora_promote('nothing', 1);
SELECT moemlora_promote('keep', 0);
SELECT moemlora_drop_version('keep', 2);
SELECT moemlora_prune('keep', -1);

-- nothing is done without an argument
SELECT moemlora_promote(NULL, 1);
SELECT moemlora_promote('keep', NULL);
SELECT moemlora_rollback(NULL);
SELECT moemlora_drop_version(NULL, 1);
SELECT moemlora_drop_version('keep', NULL);
SELECT moemlora_prune(NULL, 1);
SELECT moemlora_prune('keep', NULL);
SELECT moemlora_rename(NULL, 'x');
SELECT moemlora_rename('keep', NULL);
SELECT moemlora_grant(NULL, 'public');
SELECT moemlora_grant('keep', NULL);
SELECT moemlora_revoke(NULL, 'public');
SELECT moemlora_revoke('keep', NULL);
SELECT moemlora_owner_to(NULL, current_user);
SELECT moemlora_owner_to('keep', NULL);
SELECT moemlora_drop(NULL);

-- a transaction that only reads changes nothing
BEGIN READ ONLY;
SELECT moemlora_promote('keep', 8);
ROLLBACK;
BEGIN READ ONLY;
SELECT moemlora_grant('keep', 'public');
ROLLBACK;

-- how the planner sees them
SELECT proname, provolatile, proparallel, proisstrict, pg_get_function_result(oid) AS result
FROM pg_proc WHERE probin LIKE '%moemlora%' AND proname ~ '^moemlora_(promote|rollback|drop|prune|rename|grant|revoke|owner_to)'
ORDER BY proname COLLATE "C";

SELECT moemlora_drop('keep'), moemlora_drop('other');
DROP FUNCTION train, versions;
DROP TABLE clicks;
DROP SEQUENCE seeds;
