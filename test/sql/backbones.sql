-- The nine backbones: all train in every mode and score the same in every form; sizes that cannot be
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE shop_clicks AS
SELECT u AS user_id, i AS item_id, (u * i % 17)::real AS price, ARRAY['t' || u % 3, 't' || i % 5] AS tags,
	ARRAY[sin(u), cos(i), sin(u * i)]::real[] AS picture, (ARRAY['a', 'b', 'c'])[(u * 7 + i) % 3 + 1] AS shop,
	sin(u) * cos(i) + sin(i * (1 + (u * 7 + i) % 3)) > 0.3 AS clicked
FROM generate_series(1, 40) AS u, generate_series(1, 30) AS i;

CREATE FUNCTION train_backbone(backbone text, more jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
	SELECT count(*)::int FROM moemlora_train('m ' || backbone, 'shop_clicks', 'clicked', 'shop', NULL,
		jsonb_build_object('backbone', backbone, 'epochs', 3, 'hidden', '[8, 4]'::jsonb, 'embedding_dim', 4, 'recipe', 'gated',
			'learning_rate', 0.01, 'dropout', 0.1) || more) $$;

CREATE VIEW m_models AS SELECT * FROM moemlora.models WHERE name LIKE 'm %';

-- all phases run, and something is learnt
SELECT b AS backbone, train_backbone(b) AS phases
FROM unnest('{mlp, wdl, deepfm, nfm, pnn, dcn, autoint, xdeepfm, fibinet}'::text[]) AS b;
SELECT name, backbone, valid_auc > 0.55 AS has_learnt FROM m_models ORDER BY name;

-- a row, its jsonb and its text score the same; so do the three modes of evaluate on all rows
SELECT m.name, count(*) AS rows, count(DISTINCT p) > 100 AS they_differ, bool_and(p > 0 AND p < 1) AS are_probabilities,
	max(abs(p - moemlora_predict(m.name, shop, to_jsonb(c)))) < 1e-6 AS as_jsonb,
	max(abs(p - moemlora_predict(m.name, shop, to_jsonb(c)::text))) < 1e-6 AS as_text
FROM m_models AS m, shop_clicks AS c, LATERAL (SELECT moemlora_predict(m.name, shop, c) AS p) AS s
GROUP BY m.name ORDER BY m.name;
SELECT m.name, e.rows, e.auc IS NOT NULL AND e.backbone_auc IS NOT NULL AND e.expert_auc IS NOT NULL AS has_modes,
	abs(e.auc - (SELECT moemlora_auc(moemlora_predict(m.name, shop, c), clicked) FROM shop_clicks AS c)) < 1e-4 AS is_served
FROM m_models AS m, moemlora_evaluate(m.name, 'shop_clicks', 'clicked', 'shop') AS e WHERE e.scope = 'all' ORDER BY m.name;

-- an unknown domain, an unknown value, NULL everywhere
SELECT m.name, moemlora_predict(m.name, 'nowhere', '{"user_id": 9999}'::jsonb) BETWEEN 0 AND 1 AS is_scored
FROM m_models AS m ORDER BY m.name;

-- other sizes
SELECT train_backbone('dcn', '{"cross_layers": 1}'), train_backbone('dcn', '{"cross_layers": 16}'), train_backbone('dcn', '{"method": "mlora"}');
SELECT train_backbone('autoint', '{"attention_layers": 1, "attention_heads": 1, "attention_dim": 1}'),
	train_backbone('autoint', '{"attention_layers": 2, "attention_heads": 3, "attention_dim": 11}');
SELECT train_backbone('xdeepfm', '{"cin": [3]}'), train_backbone('xdeepfm', '{"cin": [6, 4, 5]}'), train_backbone('xdeepfm', '{"cin": [2, 2], "gate": "input"}');
SELECT train_backbone('fibinet', '{"embedding_dim": 1}'), train_backbone('pnn', '{"method": "backbone"}'), train_backbone('nfm', '{"unknown_domain": "mean"}');

-- the same seed, the same model; a size that the backbone does not use changes nothing
CREATE FUNCTION sum_of_scores(model text) RETURNS float8 LANGUAGE sql AS 'SELECT sum(moemlora_predict(model, shop, c)::float8 ORDER BY c) FROM shop_clicks AS c';
CREATE TABLE sums AS SELECT name, sum_of_scores(name) AS sum_of FROM m_models;
SELECT count(train_backbone(substr(name, 3), (SELECT c.value::jsonb FROM moemlora.cards AS c WHERE c.model = sums.name AND c.name = 'options' ORDER BY c.version DESC LIMIT 1)))
FROM sums;
SELECT name, sum_of = sum_of_scores(name) AS is_the_same FROM sums ORDER BY name;

-- sizes that cannot be
SELECT train_backbone('dcn', '{"cross_layers": 0}');
SELECT train_backbone('dcn', '{"cross_layers": 17}');
SELECT train_backbone('autoint', '{"attention_layers": 0}');
SELECT train_backbone('autoint', '{"attention_heads": 257}');
SELECT train_backbone('autoint', '{"attention_dim": 0.5}');
SELECT train_backbone('xdeepfm', '{"cin": []}');
SELECT train_backbone('xdeepfm', '{"cin": [5, 4]}');
SELECT train_backbone('xdeepfm', '{"cin": 8}');
SELECT train_backbone('wdl', '{"cin": [5, 4], "epochs": 1}');
-- more memory than allowed
SET moemlora.training_memory = '20MB';
SELECT train_backbone('xdeepfm', '{"cin": [128, 128], "batch_size": 8192}');
RESET moemlora.training_memory;

SELECT count(moemlora_drop(name)) FROM sums;
DROP TABLE shop_clicks, sums CASCADE;
DROP VIEW m_models;
DROP FUNCTION train_backbone, sum_of_scores;
