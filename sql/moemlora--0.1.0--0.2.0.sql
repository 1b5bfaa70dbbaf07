-- From version 0.1.0 to 0.2.0: views and the result of moemlora_tune() that fit
-- into a terminal.  What moemlora.versions told beyond that, view moemlora.cards
-- tells; moemlora.runs tells what a checkpoint takes; moemlora_score() needs no window.

\echo Use "ALTER EXTENSION moemlora UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

DROP VIEW moemlora.progress, moemlora.runs, moemlora.epochs, moemlora.phases, moemlora.versions;

CREATE VIEW moemlora.versions WITH (security_barrier) AS
SELECT
	m.name AS model,
	v.number AS version,
	v.number = m.current_version AS is_current,
	v.served,
	v.train_rows + v.valid_rows AS rows,
	round(v.valid_auc::numeric, 4) AS valid_auc,
	round(v.valid_wauc::numeric, 4) AS valid_wauc,
	v.bytes,
	date_trunc('second', v.created) AS created
FROM moemlora.model m
JOIN moemlora.version v ON v.model_id = m.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner)
ORDER BY m.name, v.number;
COMMENT ON VIEW moemlora.versions IS 'Versions of the models that one may use: how good, how large, since when. View moemlora.cards tells the rest.';
COMMENT ON COLUMN moemlora.versions.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.versions.version IS 'Number of the version, from 1.';
COMMENT ON COLUMN moemlora.versions.is_current IS 'Whether it is the version that scores.';
COMMENT ON COLUMN moemlora.versions.served IS 'Mode that scores: backbone, own or gate.';
COMMENT ON COLUMN moemlora.versions.rows IS 'Rows trained and validated on.';
COMMENT ON COLUMN moemlora.versions.valid_auc IS 'AUC of the served mode over all validation rows; NULL when not defined.';
COMMENT ON COLUMN moemlora.versions.valid_wauc IS 'AUC per domain of the served mode, weighted by validation rows; NULL when not defined.';
COMMENT ON COLUMN moemlora.versions.bytes IS 'Size of the stored model in bytes.';
COMMENT ON COLUMN moemlora.versions.created IS 'When the version was stored.';

CREATE VIEW moemlora.cards WITH (security_barrier) AS
SELECT m.name AS model, v.number AS version, f.name, f.value
FROM moemlora.model m
JOIN moemlora.version v ON v.model_id = m.id
CROSS JOIN LATERAL (VALUES
	(1, 'created_by', v.created_by::text),
	(2, 'seconds', round(v.seconds::numeric, 1)::text),
	(3, 'backbone', v.backbone),
	(4, 'method', v.method),
	(5, 'recipe', CASE WHEN v.method = 'moe_mlora' THEN v.recipe END),
	(6, 'features', v.n_features::text),
	(7, 'domains', v.n_domains::text),
	(8, 'experts', v.n_experts::text),
	(9, 'parameters', v.parameters::text),
	(10, 'train_rows', v.train_rows::text),
	(11, 'valid_rows', v.valid_rows::text),
	(12, 'rows_left_out', v.rows_left_out::text),
	(13, 'valid_logloss', round(v.valid_logloss::numeric, 4)::text),
	(14, 'source', v.spec ->> 'source'),
	(15, 'label', v.spec ->> 'label'),
	(16, 'domain', v.spec ->> 'domain'),
	(17, 'feature_names', (SELECT string_agg(f.name, ', ' ORDER BY f.position) FROM moemlora.feature f WHERE f.version_id = v.id)),
	(18, 'options', jsonb_pretty(v.spec -> 'options')),
	(19, 'added', jsonb_pretty(v.spec -> 'added'))
) AS f(position, name, value)
WHERE @extschema@.moemlora_may_use(m.id, m.owner) AND f.value IS NOT NULL
ORDER BY m.name, v.number, f.position;
COMMENT ON VIEW moemlora.cards IS
'What each version of the models that one may use is and was trained on, a row for each fact. What is not known has no row: an imported version has no source.';
COMMENT ON COLUMN moemlora.cards.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.cards.version IS 'Number of the version.';
COMMENT ON COLUMN moemlora.cards.name IS
'created_by (who trained or imported it), seconds (of the training, reading included), backbone, method, recipe (of method moe_mlora), features (their number, the domain not counted), domains, experts, parameters (their numbers), train_rows, valid_rows (rows trained and validated on), rows_left_out (label or domain was NULL), valid_logloss (of the served mode), source, label, domain, feature_names, options (of the training; of a retraining those it was trained before with and its own), added (the domains that moemlora_add_domain() added since the training on the source: domain, source, search_path, options, and the version that each was added to).';
COMMENT ON COLUMN moemlora.cards.value IS 'Its value; of options and added a text that casts to jsonb.';

CREATE VIEW moemlora.decisions WITH (security_barrier) AS
SELECT
	m.name AS model,
	v.number AS version,
	v.number = m.current_version AS is_current,
	date_trunc('second', v.created) AS created,
	v.decision,
	v.decision_reason AS reason
FROM moemlora.model m
JOIN moemlora.version v ON v.model_id = m.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner) AND v.decision IS NOT NULL
ORDER BY m.name, v.number;
COMMENT ON VIEW moemlora.decisions IS 'What moemlora_retrain() and moemlora_add_domain() decided of the versions that they stored in the models that one may use.';
COMMENT ON COLUMN moemlora.decisions.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.decisions.version IS 'Number of the version.';
COMMENT ON COLUMN moemlora.decisions.is_current IS 'Whether it is the version that scores now.';
COMMENT ON COLUMN moemlora.decisions.created IS 'When it was stored.';
COMMENT ON COLUMN moemlora.decisions.decision IS 'promoted or kept back.';
COMMENT ON COLUMN moemlora.decisions.reason IS 'Why: the AUC, or logloss, of the version and of the one before on the same validation rows; or which domain was added to which version.';

CREATE VIEW moemlora.phases WITH (security_barrier) AS
SELECT
	m.name AS model,
	v.number AS version,
	p.name AS phase,
	p.epochs,
	round(p.seconds::numeric, 1) AS seconds,
	round(p.valid_auc::numeric, 4) AS valid_auc,
	round(p.valid_wauc::numeric, 4) AS valid_wauc,
	p.is_used,
	replace(nullif(regexp_replace(p.note, '(; )?\mnot used$', ''), ''), '; ', E'\n') AS note
FROM moemlora.model m
JOIN moemlora.version v ON v.model_id = m.id
JOIN moemlora.phase p ON p.version_id = v.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner)
ORDER BY m.name, v.number, p.position;
COMMENT ON VIEW moemlora.phases IS 'Training phases of the models that one may use, in the order of running; for their losses see view moemlora.epochs.';
COMMENT ON COLUMN moemlora.phases.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.phases.version IS 'Number of the version.';
COMMENT ON COLUMN moemlora.phases.phase IS 'backbone, joint, gated, experts, gate, finetune or domain.';
COMMENT ON COLUMN moemlora.phases.epochs IS 'Epochs run, of all experts together.';
COMMENT ON COLUMN moemlora.phases.seconds IS 'Duration in seconds.';
COMMENT ON COLUMN moemlora.phases.valid_auc IS 'AUC on all validation rows, in the mode of the phase; NULL when not defined.';
COMMENT ON COLUMN moemlora.phases.valid_wauc IS 'AUC per domain, weighted by validation rows; NULL when not defined.';
COMMENT ON COLUMN moemlora.phases.is_used IS 'False when the model does not contain what the phase learned.';
COMMENT ON COLUMN moemlora.phases.note IS 'What a person should know, a line for each; NULL when there is nothing.';

CREATE VIEW moemlora.epochs WITH (security_barrier) AS
SELECT
	m.name AS model,
	e.version,
	e.phase,
	e.expert,
	e.epoch,
	e.rows,
	round(e.seconds::numeric, 2) AS seconds,
	round(e.train_logloss::numeric, 4) AS train_logloss,
	round(e.valid_logloss::numeric, 4) AS valid_logloss,
	round(e.valid_auc::numeric, 4) AS valid_auc,
	e.is_best
FROM moemlora.model m
JOIN (
	SELECT v.model_id, v.number AS version, e.position, e.phase, e.expert, e.epoch, e.rows, e.seconds, e.train_logloss,
		e.valid_logloss, e.valid_auc, e.is_best
	FROM moemlora.version v
	JOIN moemlora.epoch e ON e.version_id = v.id
	UNION ALL
	SELECT e.model_id, NULL, e.position, e.phase, e.expert, e.epoch, e.rows, e.seconds, e.train_logloss,
		e.valid_logloss, e.valid_auc, e.is_best
	FROM moemlora.checkpoint_epoch e
) AS e ON e.model_id = m.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner)
ORDER BY m.name, e.version, e.position;
COMMENT ON VIEW moemlora.epochs IS 'Training epochs of the models that one may use, in the order of running; those of a retraining that is under way or was abandoned, too.';
COMMENT ON COLUMN moemlora.epochs.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.epochs.version IS 'Number of the version; NULL: of a retraining that has none yet, see view moemlora.runs.';
COMMENT ON COLUMN moemlora.epochs.phase IS 'Name of the phase.';
COMMENT ON COLUMN moemlora.epochs.expert IS 'Expert trained, from 0; NULL outside phase experts. moemlora_gates() tells its domain.';
COMMENT ON COLUMN moemlora.epochs.epoch IS 'Number in the phase, of one expert; 0 is the state before.';
COMMENT ON COLUMN moemlora.epochs.rows IS 'Rows trained on.';
COMMENT ON COLUMN moemlora.epochs.seconds IS 'Duration in seconds.';
COMMENT ON COLUMN moemlora.epochs.train_logloss IS 'Logloss on the training rows; NULL in epoch 0.';
COMMENT ON COLUMN moemlora.epochs.valid_logloss IS 'Logloss on the validation rows, of the better of the last state and the average of states; NULL when there are none.';
COMMENT ON COLUMN moemlora.epochs.valid_auc IS 'AUC on the validation rows, in the mode of the phase; NULL when not defined.';
COMMENT ON COLUMN moemlora.epochs.is_best IS 'Better than every epoch of the phase before it.';

-- The training lock (src/model_store_lock.c) tells who is at work: it goes with its process.
CREATE VIEW moemlora.runs WITH (security_barrier) AS
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
	(SELECT sum(octet_length(p.data)) FROM moemlora.checkpoint_part p WHERE p.model_id = c.model_id)::bigint AS bytes,
	date_trunc('second', c.started) AS started,
	date_trunc('second', c.saved) AS saved
FROM moemlora.model m
JOIN moemlora.checkpoint c ON c.model_id = m.id
WHERE @extschema@.moemlora_may_use(m.id, m.owner)
ORDER BY m.name;
COMMENT ON VIEW moemlora.runs IS
'Retrainings, with CALL moemlora_retrain(), of the models that one may use that have stored no version yet: those under way, and those that were abandoned because they were killed or cancelled or failed. CALL moemlora_retrain(model, ''{"resume": true}'') goes on with an abandoned one; one that does not resume, or any training, removes it.';
COMMENT ON COLUMN moemlora.runs.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.runs.state IS 'running, or abandoned: the process that trained has left the model.';
COMMENT ON COLUMN moemlora.runs.phase IS 'reading, or the phase that is next or under way.';
COMMENT ON COLUMN moemlora.runs.epochs IS 'Epochs of the phase that are done and stored, of all experts together.';
COMMENT ON COLUMN moemlora.runs.fraction IS 'Share of the whole training that is stored, at worst; 0 to 1.';
COMMENT ON COLUMN moemlora.runs.bytes IS 'Size of its checkpoint in bytes; NULL: no epoch is done yet.';
COMMENT ON COLUMN moemlora.runs.started IS 'When the run began, or was resumed.';
COMMENT ON COLUMN moemlora.runs.saved IS 'When the last epoch was stored.';

-- Anybody can write such a comment before a query: the expression is strict,
-- and no cast below can fail on what it lets through.
CREATE VIEW moemlora.progress AS
SELECT
	a.pid,
	replace(replace(replace(p.part[1], '%22', '"'), '%2A', '*'), '%25', '%') AS model,
	p.part[2] AS phase,
	p.part[3]::bigint AS step,
	p.part[4]::bigint AS steps,
	p.part[5]::double precision AS fraction,
	p.part[6]::bigint AS rows_per_second,
	to_timestamp(p.part[7]::double precision) AS started
FROM pg_stat_activity a
CROSS JOIN LATERAL regexp_match(a.query,
	'^/[*] moemlora: model="([^"*]+)" phase=([a-z]{1,20}) step=([0-9]{1,18}) steps=([0-9]{1,18})'
	' fraction=([01][.][0-9]{4}) rows_per_second=([0-9]{1,18}) started=([0-9]{1,10}[.][0-9]{3}) [*]/ ') AS p(part)
WHERE a.datname = current_database() AND a.state = 'active' AND p.part IS NOT NULL
UNION ALL
SELECT NULL, r.model, 'abandoned', NULL, NULL, r.fraction, NULL, r.started
FROM moemlora.runs r
WHERE r.state = 'abandoned';
COMMENT ON VIEW moemlora.progress IS
'Trainings running now in this database: those of roles that one is a member of; all of them for superusers and members of pg_read_all_stats. Then the retrainings of models that one may use that were abandoned (moemlora.runs). Needs track_activities and a track_activity_query_size of 1024 or more.';
COMMENT ON COLUMN moemlora.progress.pid IS 'Process of the session; pg_cancel_backend(pid) stops the training, and no version is stored. NULL: there is none any more.';
COMMENT ON COLUMN moemlora.progress.model IS 'Name of the model.';
COMMENT ON COLUMN moemlora.progress.phase IS 'reading, backbone, joint, gated, experts, gate, finetune or domain; abandoned: the process that trained has gone.';
COMMENT ON COLUMN moemlora.progress.step IS 'Batches done in the phase (in phase experts: for the present expert).';
COMMENT ON COLUMN moemlora.progress.steps IS 'Batches that there can be; patience mostly ends a phase before.';
COMMENT ON COLUMN moemlora.progress.fraction IS 'Share of the whole training that is done, at worst; 0 to 1.';
COMMENT ON COLUMN moemlora.progress.rows_per_second IS 'Rows trained on in a second.';
COMMENT ON COLUMN moemlora.progress.started IS 'When the training began.';

GRANT SELECT ON moemlora.versions, moemlora.cards, moemlora.decisions, moemlora.phases, moemlora.epochs, moemlora.runs,
	moemlora.progress TO PUBLIC;

DROP FUNCTION @extschema@.moemlora_tune(text, text, text, text[], jsonb, double precision);
CREATE FUNCTION @extschema@.moemlora_tune(
	source text, label text, domain text, features text[], grid jsonb, budget_seconds double precision DEFAULT NULL)
RETURNS TABLE (
	rank integer, valid_wauc double precision, microseconds double precision, seconds double precision,
	epochs integer, rung integer, options jsonb, note text)
	AS 'MODULE_PATHNAME' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 30;
COMMENT ON FUNCTION @extschema@.moemlora_tune(text, text, text, text[], jsonb, double precision) IS
$$Tries combinations of options on the same rows, which are read and encoded once, and ranks them by WAUC on the validation rows. Nothing is stored: with the options grid || options moemlora_train() makes the model of a row of the last rung; those of others were trained with fewer epochs, or cut short.
source, label, domain, features: as of moemlora_train(). grid: an object of its options, each with a value for all trials or a list of values to try (of hidden and cin a list of lists); all combinations are tried, or 81 of more, drawn with option seed. Successive halving (Jamieson and Talwalkar 2016): all trials with few epochs, the better third with three times as many, up to option epochs in the last rung. budget_seconds: time for all, reading included; trials are stopped so that every rung gets its part; NULL = none.
rank: by rung, then WAUC, then number of parameters; NULL: there is no result. microseconds: what a row that is read and encoded took through the network here, in blocks. seconds: of all its rungs. epochs: of all phases, in its last rung. rung: the last that it took part in, from 1; 0 = none. options: those for which grid has a list. note: "cut short" by its share of budget_seconds (and ranked by the rung before where that was better), "not tried" because budget_seconds had passed, or why it cannot be trained. One NOTICE per trial.
Errors: as moemlora_train(); invalid_parameter_value (an option that cannot vary: validation, split_column, time_column, weight_column, columns, min_count, seed, epochs; max_seconds, warm_start and workers cannot be given), data_exception (no validation rows).
Example: SELECT * FROM moemlora_tune('interactions', 'clicked', 'category', NULL, '{"experts_per_domain": [1, 2, 4], "lora_reduce": [8, 16, 32], "epochs": 27}', 600);$$;

DROP FUNCTION @extschema@.moemlora_add_domain(text, text, text, jsonb);
CREATE FUNCTION @extschema@.moemlora_add_domain(model text, domain text, source text, options jsonb DEFAULT '{}')
RETURNS TABLE (
	version integer, phase text, epochs integer, rows bigint, seconds double precision,
	train_logloss double precision, valid_logloss double precision, valid_auc double precision, note text)
	AS 'MODULE_PATHNAME' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 3;
COMMENT ON FUNCTION @extschema@.moemlora_add_domain(text, text, text, jsonb) IS
$$Adds a domain to the current version of a model and stores that as a new version, which becomes current. Trained are the new domain's embedding, its experts and its row of the gate; no bit of the other domains' scores changes. On its validation rows the domain is served no worse than by the backbone. A hundred rows can do; with fewer than ten to validate on there is a WARNING. Returns one row per phase; its figures are those of the new domain's rows.
source: what can stand after FROM; it runs with the caller's rights, and has the columns that the version was trained with. Rows of other domains are left out, with a NOTICE; so are categories that the version does not know: they stay unknown. options: epochs, patience, batch_size, dropout, learning_rate, l2, gate_own_share, gate_entropy, validation, split_column, time_column, weight_column, seed, workers, max_seconds; what is not given suits few rows (epochs 50, patience 15, small batches, up to 0.3 of the rows validate) or is as in the version's training; null drops what that had.
moemlora_retrain() goes on reading the source of all domains, and warns where the new domain has no rows there.
Errors: as moemlora_train(); undefined_object (no such model), object_not_in_prerequisite_state (an imported version), invalid_parameter_value (the version knows the domain, has no experts, or gate input, under which all scores would change).
Example: SELECT * FROM moemlora_add_domain('ctr', 'garden', '(SELECT * FROM interactions WHERE category = ''garden'')');$$;

-- Comments that tell more.
COMMENT ON PROCEDURE @extschema@.moemlora_retrain(text, jsonb) IS
$$Trains a model again as its current version was trained: from its stored source, features and options, which those given here override (null: back to the default), with the rights of the model's owner in a security-restricted operation, as REFRESH MATERIALIZED VIEW works, under the search_path recorded at training. It commits after every epoch (in phase experts, when all rows were trained on once more): of a run that is cancelled or killed at most one epoch is lost, moemlora.runs shows it, and {"resume": true} goes on with it, with its options. Where source or options have changed since, that begins anew with what the run had learned. Inside a transaction block, a function or an exception block it commits nothing, and cannot be resumed.
options: those of moemlora_train(), with warm_start true by default, "resume" (false), and "promote": "if_better" (the default: the new version becomes current only if its AUC, or logloss where that is not defined, is no worse than the current version's on the same validation rows, over all rows and in each domain with ten of both classes, within "tolerance", 0.005, and its logloss over all rows at most 20 times the tolerance above, as a share), "always" or "never". The new version is stored in any case; moemlora.decisions says what was decided and why.
Errors: as moemlora_train(); undefined_object (no such model, or its owner no longer exists), object_not_in_prerequisite_state (an imported version has no source), lock_not_available (it is being trained).
Example: CALL moemlora_retrain('ctr'); with pg_cron: SELECT cron.schedule('ctr', '0 3 * * *', $job$CALL moemlora_retrain('ctr')$job$);$$;
COMMENT ON FUNCTION @extschema@.moemlora_drift(text, text, text) IS
$$How far rows, which need no labels, are from those that the current version of a model was trained on: over all rows (domain NULL), then by domain; in each first the scores (feature NULL), then every feature; over all rows the domain itself, too, under the name of its column. unknown, nulls: share of values that the model does not know, and of NULLs (arrays: without elements; vectors: of zeros). psi: population stability index, of the categories that one in 200 training rows or more has (at most 16), all others together, NULL and unknown; of the deciles of a number, or of the length of a vector; of scores by half a unit of their logits. score: their mean; score_shift: that minus the mean score of the validation rows. verdict: of a feature retrain from a psi of 0.25 on, watch from 0.1 on, fine below, and fine wherever rows are so few that luck could make such a psi; of scores the worst of the whole domain, in the first row the worst of all. Training rows have no unknown values: expected are as many as the validation rows have. A model keeps what it needs of a sample of its training rows, of the largest domains in 1 MB; what others are like is in all rows only. NULL where a figure is not defined. Needs the right to use the model.
Errors: undefined_object (no such model), insufficient_privilege, undefined_column, datatype_mismatch, data_exception (a value, with row and column).
Example: SELECT * FROM moemlora_drift('ctr', '(SELECT * FROM interactions WHERE day = current_date)', 'category') WHERE verdict <> 'fine' ORDER BY psi DESC;$$;
COMMENT ON FUNCTION @extschema@.moemlora_score(text, text, record) IS
$$The same as moemlora_predict(model, domain, features) to 1e-6, for many rows in less time: a window function that scores blocks of rows, with OVER () in parallel workers, too. Partition, order and frame do not change a score. NULL when an argument is NULL.
Errors: as with moemlora_predict; those of a row up to 4095 rows ahead come early.
Example: SELECT item_id, moemlora_score('ctr', 'books', i) OVER () AS score FROM (SELECT 42 AS user_id, item_id, price FROM items) AS i;$$;
COMMENT ON FUNCTION @extschema@.moemlora_score(bytea, text, record) IS
$$The same as moemlora_predict(model, domain, features) with a model that is a value, to 1e-6, for many rows in less time: a window function. Rows are scored together up to where the model changes: order the rows by model, as PARTITION BY does.
Errors: as with moemlora_predict; those of a row up to 4095 rows ahead come early.
Example: SELECT i.id, moemlora_score(m.model, i.shop, i) OVER (PARTITION BY country) FROM items AS i JOIN models AS m USING (country);$$;

-- Scoring without a window.
CREATE FUNCTION @extschema@.moemlora_score_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT;
COMMENT ON FUNCTION @extschema@.moemlora_score_support(internal) IS
'Planner support of moemlora_score(): has plans made that score without a window. Not to be called.';
ALTER FUNCTION @extschema@.moemlora_score(text, text, record) COST 100 SUPPORT @extschema@.moemlora_score_support;
ALTER FUNCTION @extschema@.moemlora_score(bytea, text, record) COST 100 SUPPORT @extschema@.moemlora_score_support;
