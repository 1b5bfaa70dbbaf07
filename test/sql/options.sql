-- Options of moemlora_train(): every one is accepted, and nothing else is.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE option_rows AS
SELECT i % 7 AS u, (i % 5)::text AS t, i / 10.0::real AS p, ARRAY[i % 3, i % 4] AS m,
	ARRAY[i, 1, 2, 3]::real[] AS v, i % 3 = 0 AS y, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS d,
	(ARRAY['train', 'valid', 'test', 'train'])[i % 4 + 1] AS s, i % 3 AS w,
	date '2024-01-01' + i % 100 AS day
FROM generate_series(1, 200) AS i;

CREATE FUNCTION train(options jsonb, features text[] DEFAULT ARRAY['u', 't', 'p']) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM moemlora_train('options', 'option_rows', 'y', 'd', features,
		'{"epochs": 1, "hidden": [4], "embedding_dim": 2, "min_domain_rows": 10}' || options)
$$;

-- every option of the core with a good value
SELECT o, train(o::jsonb) > 0 AS is_trained
FROM unnest(ARRAY[
	'{}',
	'{"backbone": "mlp"}', '{"backbone": "wdl"}',
	'{"method": "moe_mlora"}', '{"method": "mlora"}', '{"method": "backbone"}',
	'{"recipe": "auto"}', '{"recipe": "paper"}', '{"recipe": "joint"}', '{"recipe": "gated"}',
	'{"embedding_dim": 3}', '{"hidden": [5, 4]}', '{"dropout": 0}', '{"dropout": 0.25}',
	'{"lora_reduce": 2}', '{"lora_rank": 2}', '{"experts_per_domain": 2}', '{"min_domain_rows": 1000}',
	'{"gate": "domain"}', '{"gate": "input"}', '{"gate_own_share": 0.7}',
	'{"serve": "auto"}', '{"serve": "backbone"}', '{"serve": "own"}', '{"serve": "gate"}',
	'{"unknown_domain": "backbone"}', '{"unknown_domain": "mean"}', '{"unknown_domain": "error"}',
	'{"epochs": 2, "patience": 1}', '{"batch_size": 16}', '{"learning_rate": 0.01}', '{"l2": 0}',
	'{"expert_diversity": 0.5}', '{"gate_entropy": 0.5}', '{"gate_entropy": -1}',
	'{"finetune": true}', '{"finetune": false}', '{"validation": 0}', '{"validation": 0.3}', '{"seed": -7}',
	'{"max_seconds": 60}', '{"min_count": 3}', '{"warm_start": false}', '{"warm_start": true}',
	'{"workers": 0}', '{"columns": {}}',
	'{"weight_column": "w"}', '{"time_column": "day"}', '{"time_column": "w"}', '{"split_column": "s"}']) AS o;

-- what an option says is what is stored
SELECT train('{"method": "mlora", "backbone": "mlp"}') AS phases;
CREATE VIEW card AS
SELECT jsonb_object_agg(name, value) AS card FROM moemlora.cards WHERE model = 'options' GROUP BY version ORDER BY version DESC LIMIT 1;
SELECT card ->> 'method' AS method, card ->> 'backbone' AS backbone, (card ->> 'options')::jsonb - 'epochs' AS options FROM card;

-- rows of split test are left out, and the others go where the column says
SELECT train('{"split_column": "s"}') > 0 AS is_trained;
SELECT card ->> 'train_rows' AS train_rows, card ->> 'valid_rows' AS valid_rows FROM card;

-- the newest rows validate
SELECT train('{"time_column": "day", "validation": 0.25}') > 0 AS is_trained;
SELECT (card ->> 'train_rows')::int + (card ->> 'valid_rows')::int AS rows, (card ->> 'valid_rows')::int BETWEEN 40 AND 60 AS is_a_quarter
FROM card;

-- unknown options, with and without a near miss
SELECT train('{"hiden": [4]}');
SELECT train('{"Epochs": 4}');
SELECT train('{"learning_rates": 0.1}');
SELECT train('{"colour": "blue"}');
SELECT train('{"": 1}');

-- options are one object
SELECT train('[]');
SELECT * FROM moemlora_train('options', 'option_rows', 'y', 'd', NULL, '5');
SELECT * FROM moemlora_train('options', 'option_rows', 'y', 'd', NULL, NULL);

-- wrong types
SELECT train('{"epochs": "ten"}');
SELECT train(jsonb_build_object('epochs', repeat('ten', 100)));
SELECT train('{"epochs": null}');
SELECT train('{"epochs": [1]}');
SELECT train('{"epochs": 2.5}');
SELECT train('{"dropout": "half"}');
SELECT train('{"hidden": 8}');
SELECT train('{"hidden": ["a"]}');
SELECT train('{"hidden": {"a": 1}}');
SELECT train('{"finetune": 1}');
SELECT train('{"backbone": 1}');
SELECT train('{"split_column": 1}');
SELECT train('{"time_column": true}');
SELECT train('{"weight_column": []}');
SELECT train('{"warm_start": "no"}');
SELECT train('{"workers": "two"}');
SELECT train('{"columns": []}');

-- out of range
SELECT train('{"epochs": 0}');
SELECT train('{"epochs": 1e300}');
SELECT train('{"dropout": 1}');
SELECT train('{"dropout": -0.1}');
SELECT train('{"learning_rate": 0}');
SELECT train('{"learning_rate": 1e999}');
SELECT train('{"validation": 1}');
SELECT train('{"expert_diversity": -0.5}');
SELECT train('{"gate_entropy": 1.5}');
SELECT train('{"hidden": []}');
SELECT train('{"hidden": [0]}');
SELECT train('{"hidden": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}');
SELECT train('{"workers": -1}');
SELECT train('{"method": "magic"}');
SELECT train('{"backbone": "resnet"}');

-- every option with the first value that is too small or too large, and with one of another type
CREATE FUNCTION refused(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	PERFORM train(options);
	RETURN 'not refused';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws('. ', message, nullif(hint, ''));
END $$;
SELECT o, refused(o::jsonb)
FROM unnest(ARRAY[
	'{"embedding_dim": 0}', '{"embedding_dim": 1025}', '{"hidden": [65537]}', '{"hidden": [4, 0]}', '{"hidden": [1.5]}',
	'{"lora_reduce": 0}', '{"lora_reduce": 65537}', '{"lora_rank": 0}', '{"lora_rank": 65537}', '{"lora_rank": "4"}',
	'{"experts_per_domain": 0}', '{"experts_per_domain": 65}', '{"min_domain_rows": 0}', '{"min_domain_rows": 1000000001}',
	'{"gate": "row"}', '{"gate": true}', '{"gate_own_share": 0}', '{"gate_own_share": 1}', '{"serve": "expert"}', '{"serve": 1}',
	'{"recipe": "sauce"}', '{"recipe": []}', '{"unknown_domain": "zero"}', '{"unknown_domain": null}', '{"epochs": 100001}',
	'{"patience": 0}', '{"patience": 100001}', '{"batch_size": 0}', '{"batch_size": 65537}', '{"batch_size": 0.5}',
	'{"learning_rate": 10.5}', '{"learning_rate": "fast"}', '{"l2": -0.1}', '{"l2": 1.5}', '{"l2": false}', '{"finetune": "yes"}',
	'{"validation": -0.1}', '{"validation": 0.95}', '{"validation": "a tenth"}', '{"seed": 9007199254740992}', '{"seed": -1e17}',
	'{"seed": 0.5}', '{"seed": "x"}', '{"max_seconds": -1}', '{"max_seconds": 1e10}', '{"max_seconds": "1 h"}', '{"min_count": 0}',
	'{"min_count": 1e10}', '{"min_count": {}}', '{"cross_layers": 0}', '{"cross_layers": 17}', '{"attention_layers": 0}',
	'{"attention_layers": 17}', '{"attention_heads": 0}', '{"attention_heads": 257}', '{"attention_dim": 0}',
	'{"attention_dim": 1025}', '{"cin": []}', '{"cin": [4097]}', '{"cin": 8}', '{"workers": 1025}', '{"workers": 1.5}',
	'{"expert_diversity": -0.1}', '{"gate_entropy": 1.5}', '{"warm_start": 1}']) AS o;

-- options that do not go together
SELECT train('{"lora_rank": 4, "lora_reduce": 4}');
SELECT train('{"method": "mlora", "finetune": true}');
SELECT train('{"method": "backbone", "finetune": true}');
SELECT train('{"method": "backbone", "serve": "own"}');
SELECT train('{"method": "backbone", "expert_diversity": 0.5}');
SELECT train('{"recipe": "paper", "expert_diversity": 0.5}');
SELECT train('{"recipe": "paper", "expert_diversity": 0.5, "finetune": true}') > 0 AS is_trained;
SELECT train('{"method": "mlora", "gate_entropy": -0.5}');
SELECT train('{"method": "backbone", "gate_entropy": 0.5}');
SELECT train('{"method": "mlora", "serve": "gate"}');
SELECT train('{"split_column": "s", "time_column": "day"}');
SELECT train('{"split_column": "y"}');
SELECT train('{"weight_column": "w", "time_column": "w"}');

-- columns that options name: they must be there, of a good type, with good values
SELECT train('{"split_column": "splt"}');
SELECT train('{"time_column": "t"}');
SELECT train('{"weight_column": "t"}');
SELECT train('{"split_column": "t"}', ARRAY['u']);
SELECT train('{"weight_column": "w"}', ARRAY['u', 'w']);
SELECT * FROM moemlora_train('options', '(SELECT u, -1 AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"weight_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, NULL::real AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"weight_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, ''NaN''::real AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"weight_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, 1e39::float8 AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"weight_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, NULL::date AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"time_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, ''NaN''::real AS w, y, d FROM option_rows)', 'y', 'd', NULL, '{"time_column": "w"}');
SELECT * FROM moemlora_train('options', '(SELECT u, NULL::text AS s, y, d FROM option_rows)', 'y', 'd', NULL, '{"split_column": "s"}');
SELECT * FROM moemlora_train('options', '(SELECT u, ''test''::text AS s, y, d FROM option_rows)', 'y', 'd', NULL, '{"split_column": "s"}');
SELECT * FROM moemlora_train('options', '(SELECT u, ''valid''::text AS s, y, d FROM option_rows)', 'y', 'd', NULL, '{"split_column": "s"}');

-- option "columns": what it can say
SELECT o, train(jsonb_build_object('columns', o::jsonb), ARRAY['u', 't', 'p', 'm', 'v']) > 0 AS is_trained
FROM unnest(ARRAY[
	'{"u": {}}', '{"u": {"kind": "numeric"}}', '{"u": {"hash": 10}}', '{"u": {"buckets": [1, 3]}}',
	'{"p": {"transform": "log1p"}, "t": {"hash": 3}}', '{"p": {"kind": "numeric", "buckets": [0.5, 7]}}',
	'{"p": {"standardize": false}}', '{"m": {"hash": 10}}', '{"m": {"kind": "vector"}}',
	'{"v": {"projection": true}}']) AS o;
SELECT train('{"embedding_dim": 4, "columns": {"v": {"projection": false}}}', ARRAY['u', 'v']) > 0 AS is_trained;

-- and that is what the features are
SELECT train('{"columns": {"u": {"kind": "numeric"}, "t": {"hash": 3}, "p": {"buckets": [5, 10]}, "m": {"kind": "vector"}}}',
	ARRAY['u', 't', 'p', 'm', 'v']) > 0 AS is_trained;
SELECT f.name, f.sql_type, f.kind, f.size
FROM moemlora.feature f JOIN moemlora.version v ON v.id = f.version_id JOIN moemlora.model m ON m.id = v.model_id
WHERE m.name = 'options' AND v.number = m.current_version ORDER BY f.position;

-- and what it cannot
SELECT train('{"columns": {"u": 1}}');
SELECT train('{"columns": {"uu": {}}}');
SELECT train('{"columns": {"y": {"kind": "numeric"}}}');
SELECT train('{"columns": {"u": {"knd": "numeric"}}}');
SELECT train('{"columns": {"u": {"colour": "blue"}}}');
SELECT train('{"columns": {"u": {"kind": "number"}}}');
SELECT train('{"columns": {"u": {"kind": "multi"}}}');
SELECT train('{"columns": {"u": {"kind": "vector"}}}');
SELECT train('{"columns": {"t": {"kind": "numeric"}}}');
SELECT train('{"columns": {"p": {"kind": "categorical"}}}');
SELECT train('{"columns": {"p": {"kind": "categorical", "buckets": [1]}}}');
SELECT train('{"columns": {"p": {"buckets": [2, 1]}}}');
SELECT train('{"columns": {"p": {"buckets": []}}}');
SELECT train('{"columns": {"p": {"buckets": 1}}}');
SELECT train('{"columns": {"p": {"transform": "sqrt"}}}');
SELECT train('{"columns": {"p": {"standardize": 1}}}');
SELECT train('{"columns": {"p": {"hash": 10}}}');
SELECT train('{"columns": {"u": {"hash": 0}}}');
SELECT train('{"columns": {"u": {"hash": 1.5}}}');
SELECT train('{"columns": {"u": {"hash": 5, "standardize": false}}}');
SELECT train('{"columns": {"u": {"buckets": [1], "projection": false}}}');
SELECT train('{"columns": {"v": {"projection": 0}}}', ARRAY['v']);
SELECT train('{"columns": {"v": {"projection": false}}}', ARRAY['v']);

-- an option that does not exist: all that do
SET client_min_messages = notice;
SELECT train('{"workers": 2, "no_such_option": 0}');
SELECT train('{"validation": 0.2, "split_column": "s", "epochs": 1, "columns": {"q": {}}}');
RESET client_min_messages;

SELECT moemlora_drop('options');
DROP VIEW card;
DROP FUNCTION train, refused;
DROP TABLE option_rows;
