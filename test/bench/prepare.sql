-- Tables of the bench: rows to train on (-v rows=...), rows to score (-v scored=...),
-- what is measured, the figures.  Users, items and domains in the numbers of MovieLens-1M.
\ir schema.sql

-- place and place28 are the domains as numbers, for the peers; a click depends on place and item.
CREATE TABLE bench.rows AS
SELECT user_id, item_id, place, 'place ' || place AS domain, place28, 'place ' || place28 AS domain28,
	   bench.uniform(4, n) < 0.6 * bench.uniform(5, 10 * item_id + place) AS clicked
FROM (SELECT n,
			 floor(6040 * bench.uniform(1, n) ^ 1.5)::int AS user_id,
			 floor(3952 * bench.uniform(2, n) ^ 1.5)::int AS item_id,
			 floor(7 * bench.uniform(3, n))::int AS place,
			 floor(28 * bench.uniform(3, n))::int AS place28
	  FROM generate_series(1, :rows) AS n) AS drawn;

CREATE TABLE bench.scored AS
SELECT user_id, item_id, 'place ' || place AS domain, place, id
FROM (SELECT floor(6040 * bench.uniform(6, n))::int AS user_id,
			 floor(3952 * bench.uniform(7, n))::int AS item_id,
			 floor(7 * bench.uniform(8, n))::int AS place,
			 n AS id
	  FROM generate_series(1, :scored) AS n) AS drawn;

-- Scores that a peer gives back.
CREATE TABLE bench.returned (id int, score real);

CREATE TABLE bench.part (part text PRIMARY KEY, title text, place int);
INSERT INTO bench.part VALUES
	('train', 'Training', 1),
	('gate', 'Training, phase gate, 7 experts', 2),
	('mlora', 'Training, method mlora, 28 domains', 3),
	('score', 'Scoring', 4),
	('gated', 'Scoring, gate over 7 experts', 5);

-- What is measured, in the order in which it is shown; asked: times as fast as this
-- ours should be.  The first of a part is what the others are compared with.
CREATE TABLE bench.item (item text PRIMARY KEY, part text, place int GENERATED ALWAYS AS IDENTITY, peer text, title text, asked numeric);
INSERT INTO bench.item (item, part, peer, title, asked) VALUES
	('train', 'train', NULL, 'moemlora_train: call to stored version', NULL),
	('train dense', 'train', 'torch', 'PyTorch, rows in memory, dense Adam', 2.5),
	('train sparse', 'train', 'torch', 'PyTorch, rows in memory, sparse Adam', 2.5),
	('train plpython', 'train', 'plpython', 'PL/Python + PyTorch: table to stored network', 2.5),
	('train madlib', 'train', 'madlib', 'MADlib''s MLP, 24 numbers a row', NULL),
	('gate', 'gate', NULL, 'moemlora_train: the phase', NULL),
	('train gate', 'gate', 'torch', 'PyTorch, factors side by side', 2.5),
	('mlora', 'mlora', NULL, 'moemlora_train: call to stored version', NULL),
	('train bmm', 'mlora', 'torch', 'PyTorch, bmm per row', 8),
	('train masked', 'mlora', 'torch', 'PyTorch, factors side by side', NULL),
	('train grouped', 'mlora', 'torch', 'PyTorch, domain by domain', NULL),
	('score', 'score', NULL, 'moemlora_score over the table', NULL),
	('predict', 'score', NULL, 'moemlora_predict over the table', NULL),
	('score worker', 'score', NULL, 'moemlora_score, and a parallel worker', NULL),
	('predict worker', 'score', NULL, 'moemlora_predict, and a parallel worker', NULL),
	('score memory', 'score', 'torch', 'PyTorch, rows in memory', NULL),
	('score onnx memory', 'score', 'onnx', 'ONNX Runtime, rows in memory', NULL),
	('score copy', 'score', 'torch', 'binary COPY out, PyTorch, COPY in', NULL),
	('score onnx copy', 'score', 'onnx', 'binary COPY out, ONNX Runtime, COPY in', NULL),
	('score plpython', 'score', 'plpython', 'PL/Python + PyTorch, arrays of 8192 rows', NULL),
	('score plpython row', 'score', 'plpython', 'PL/Python + PyTorch, row by row', NULL),
	('score madlib', 'score', 'madlib', 'MADlib''s MLP, 24 numbers a row, own weights', NULL),
	('scan', 'score', NULL, '(a plain scan of the table)', NULL),
	('gated', 'gated', NULL, 'moemlora_score over the table', NULL),
	('score gate', 'gated', 'torch', 'PyTorch, rows in memory, own weights', NULL);

-- Who takes part: version, or NULL and what to do.
CREATE TABLE bench.peer (peer text PRIMARY KEY, name text, version text, missing text, install text);
CREATE TABLE bench.run (item text REFERENCES bench.item, round int, rows bigint, seconds float8);
CREATE TABLE bench.load (round int, load text);
VACUUM ANALYZE bench.rows, bench.scored;
