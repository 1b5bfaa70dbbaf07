-- Columns of every type as features: kinds, canonical values, what is refused
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN rating AS int CHECK (VALUE BETWEEN 0 AND 5);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN any_text AS text;
CREATE DOMAIN tall AS float8[];
CREATE TYPE point3 AS (x real, y real, z real);
CREATE FUNCTION point3_to_real(point3) RETURNS real[] LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ARRAY[$1.x, $1.y, $1.z]';
CREATE CAST (point3 AS real[]) WITH FUNCTION point3_to_real(point3);

CREATE TABLE kinds AS
SELECT i % 2 = 0 AS y, (ARRAY['a', 'b'])[i % 2 + 1] AS d,
	(i % 3)::smallint AS c_int2, i % 4 AS c_int4, (i % 5 + 5000000000)::bigint AS c_int8,
	'v' || i % 3 AS c_text, ('v' || i % 3)::varchar(9) AS c_varchar, ('v' || i % 3)::char(9) AS c_char,
	('v' || i % 3)::name AS c_name, i % 3 = 0 AS c_bool,
	(i % 3 || '0000000-0000-0000-0000-00000000000A')::uuid AS c_uuid,
	(ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood AS c_enum, date '2024-02-28' + i % 3 AS c_date,
	(i % 6)::rating AS c_domain,
	(i / 7.0)::real AS n_float4, i / 7.0::float8 AS n_float8, (i / 8.0)::numeric AS n_numeric,
	ARRAY[i % 3, i % 4]::smallint[] AS m_int2, ARRAY[i % 3, NULL, i % 4] AS m_int4, ARRAY[i % 3]::bigint[] AS m_int8,
	ARRAY['v' || i % 3, 'w'] AS m_text, ARRAY['v' || i % 3]::varchar[] AS m_varchar,
	ARRAY[(ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]]::mood[] AS m_enum, ARRAY['t' || i % 3]::tags AS m_domain,
	ARRAY[i, 1, 0]::real[] AS v_float4, ARRAY[i, 1]::float8[] AS v_float8, ARRAY[i, 1.5]::numeric[] AS v_numeric,
	ROW(i, 1, 2)::point3 AS v_cast
FROM generate_series(1, 120) AS i;

-- the type gives the kind; ids 0 and 1 are those of unknown values and of NULL
SELECT count(*) > 0 AS is_trained FROM moemlora_train('kinds', 'kinds', 'y', 'd', NULL,
	'{"epochs": 1, "hidden": [4], "embedding_dim": 2, "method": "backbone", "validation": 0}');
SELECT f.name, f.sql_type, f.kind, f.size
FROM moemlora.feature f JOIN moemlora.version v ON v.id = f.version_id JOIN moemlora.model m ON m.id = v.model_id
WHERE m.name = 'kinds' ORDER BY f.position;

-- all of them score, in every form
SELECT count(*) AS rows, count(DISTINCT p) > 1 AS they_differ, bool_and(p > 0 AND p < 1) AS are_probabilities
FROM (SELECT moemlora_predict('kinds', d, k) AS p FROM kinds k) AS s;

-- a value that was not seen is unknown, and NULL is a value of its own: neither is an error
SELECT moemlora_predict('kinds', 'a', x) IS NOT NULL AS is_scored
FROM (SELECT k.*, NULL AS more FROM kinds k LIMIT 0) AS e
RIGHT JOIN (VALUES (1)) AS one ON true
CROSS JOIN LATERAL (SELECT e.*) AS x;

-- other types of the same kind are the same values
CREATE FUNCTION same(changes text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	names text := (SELECT string_agg(CASE WHEN position(' AS ' || quote_ident(attname) || ',' IN changes || ',') = 0 THEN attname END, ', ')
		FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 0);
	is_same boolean;
BEGIN
	EXECUTE format('SELECT bool_and(moemlora_predict(''kinds'', k.d, k) = moemlora_predict(''kinds'', k.d, o))
		FROM kinds k, LATERAL (SELECT %s FROM (SELECT k.*) AS i) AS n, LATERAL (SELECT n.*, %s FROM (SELECT k.*) AS i) AS o', names, changes)
	INTO is_same;
	RETURN is_same;
END $$;
SELECT c, same(c)
FROM unnest(ARRAY['c_int4::bigint AS c_int4', 'c_int4::smallint AS c_int4', 'c_int4::text AS c_int4', 'c_int8::text AS c_int8',
	'c_text::varchar AS c_text', 'c_text::char(20) AS c_text', 'c_text::name AS c_text', 'c_char::text AS c_char',
	'c_bool::text AS c_bool', 'c_uuid::text AS c_uuid', 'c_enum::text AS c_enum', 'c_domain::int AS c_domain',
	'to_char(c_date, ''YYYY-MM-DD'') AS c_date', 'n_float4::float8 AS n_float4', 'n_numeric::float8 AS n_numeric',
	'm_int4::bigint[] AS m_int4', 'm_int4::text[] AS m_int4', 'm_enum::text[] AS m_enum', 'm_text::varchar[] AS m_text',
	'v_float4::float8[] AS v_float4', 'v_float8::real[] AS v_float8', 'v_float4::numeric[] AS v_float4',
	'v_cast::real[] AS v_cast', 'v_float4::int[] AS v_float4',
	'c_int2::bigint AS c_int2', 'c_int2::name AS c_int2', 'c_int4::rating AS c_int4', 'c_varchar::text AS c_varchar', 'c_varchar::char(30) AS c_varchar',
	'c_char::varchar AS c_char', 'c_name::text AS c_name', 'c_text::any_text AS c_text', 'm_int2::int[] AS m_int2', 'm_int8::smallint[] AS m_int8',
	'm_int4::varchar[] AS m_int4', 'm_varchar::text[] AS m_varchar', 'm_domain::text[] AS m_domain', 'm_text::tags AS m_text', 'm_text::char(20)[] AS m_text',
	'n_float8::numeric::float8 AS n_float8', 'n_numeric::real AS n_numeric', 'v_float8::tall AS v_float8']) AS c;

-- while other values are not
SELECT c, same(c)
FROM unnest(ARRAY['c_int4 + 1 AS c_int4', 'c_text || ''!'' AS c_text', 'NOT c_bool AS c_bool', 'c_date + 1 AS c_date', 'n_float8 + 1 AS n_float8',
	'm_int4 || 3 AS m_int4', 'v_float4[3:3] || v_float4[1:2] AS v_float4', 'ROW(1, 2, 3)::point3 AS v_cast']) AS c;

-- a training does not see the difference either: the same bytes are stored
CREATE FUNCTION stored(expression text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM moemlora_train('stored', format('(SELECT %s AS x, y, d FROM kinds)', expression), 'y', 'd', NULL,
		'{"epochs": 1, "hidden": [2], "embedding_dim": 2, "method": "backbone"}');
	RETURN (SELECT string_agg(md5(c.data), ',' ORDER BY c.part) FROM moemlora.model m
		JOIN moemlora.version v ON v.model_id = m.id AND v.number = m.current_version
		JOIN moemlora.component c ON c.version_id = v.id WHERE m.name = 'stored');
END $$;
SELECT a, b, stored(a) = stored(b) AS same
FROM (VALUES ('c_int4', 'c_int4::smallint'), ('c_int4', 'c_int4::bigint'), ('c_int4', 'c_int4::text'), ('c_int4', 'c_int4::char(5)'),
	('c_int4', 'c_int4::rating'), ('c_int8', 'c_int8::varchar'), ('c_text', 'c_text::varchar(5)'), ('c_text', 'c_text::char(20)'), ('c_text', 'c_text::name'),
	('c_bool', 'c_bool::text'), ('c_uuid', 'c_uuid::text'), ('c_enum', 'c_enum::text'), ('c_date', 'to_char(c_date, ''YYYY-MM-DD'')'),
	('n_float4', 'n_float4::float8'), ('n_numeric', 'n_numeric::real'), ('n_numeric', 'n_numeric::float8'),
	('m_int4', 'm_int4::smallint[]'), ('m_int4', 'm_int4::bigint[]'), ('m_int4', 'm_int4::text[]'), ('m_text', 'm_text::varchar[]'),
	('m_enum', 'm_enum::text[]'), ('m_domain', 'm_domain::text[]'),
	('v_float4', 'v_float4::float8[]'), ('v_float4', 'v_float4::numeric[]'), ('v_cast', 'v_cast::real[]'),
	('c_int4', 'c_int4 + 1'), ('m_int4', 'm_int4 || 1'), ('n_float4', 'n_float4 + 1')) AS pair(a, b);

-- whole numbers are numbers too
SELECT moemlora_predict('kinds', 'a', x) = moemlora_predict('kinds', 'a', json) AS is_same
FROM (SELECT * FROM kinds WHERE n_float8 = 1) k, LATERAL (SELECT k.*) AS x,
	LATERAL (SELECT to_jsonb(k) || '{"n_float8": 1, "v_cast": [7, 1, 2], "c_char": "v1"}' AS json) AS j;

-- settings do not change what a value is
CREATE TABLE scores AS SELECT row_number() OVER () AS n, moemlora_predict('kinds', d, k) AS p FROM kinds k;
SET datestyle = 'SQL, DMY';
SET extra_float_digits = -10;
SELECT bool_and(s.p = x.p) AS is_same
FROM scores s JOIN (SELECT row_number() OVER () AS n, moemlora_predict('kinds', d, k) AS p FROM kinds k) x USING (n);
RESET extra_float_digits;
RESET datestyle;

-- dates of all times
SET datestyle = 'ISO, MDY';
CREATE TABLE dates AS
SELECT y, d, day FROM unnest(ARRAY['2024-02-29', '0001-01-01', '0044-03-15 BC', '12345-06-07', 'infinity', '-infinity']::date[]) AS day,
	generate_series(1, 10) AS i, LATERAL (SELECT i % 2 = 0 AS y, 'a' AS d) AS x;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('dates', 'dates', 'y', 'd', NULL,
	'{"epochs": 3, "learning_rate": 0.1, "hidden": [4], "method": "backbone", "validation": 0}');
SELECT day, moemlora_predict('dates', 'a', ROW(day)) = moemlora_predict('dates', 'a', ROW(day::text)) AS is_same,
	moemlora_predict('dates', 'a', ROW(day)) <> moemlora_predict('dates', 'a', ROW('1999-09-09'::date)) AS is_known
FROM (SELECT DISTINCT day FROM dates) x ORDER BY day;
RESET datestyle;

-- a label of an enum may be renamed: the old text is what the model knows
SELECT count(*) > 0 AS is_trained FROM moemlora_train('moods', '(SELECT c_enum, y, d FROM kinds)', 'y', 'd', NULL,
	'{"epochs": 3, "learning_rate": 0.1, "hidden": [4], "method": "backbone", "validation": 0}');
DO $$
DECLARE
	before real := moemlora_predict('moods', 'a', ROW('ok'::mood));
	unknown real := moemlora_predict('moods', 'a', ROW('never seen'::text));
BEGIN
	RAISE WARNING 'known: %', before <> unknown;
	ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
	RAISE WARNING 'renamed: %', moemlora_predict('moods', 'a', ROW('fine'::mood)) = unknown;
	ALTER TYPE mood RENAME VALUE 'fine' TO 'ok';
	RAISE WARNING 'named as before: %', moemlora_predict('moods', 'a', ROW('ok'::mood)) = before;
END $$;

-- buckets and log1p take numbers of every type
SELECT count(*) > 0 AS is_trained FROM moemlora_train('buckets', '(SELECT n_float8 AS age, c_int4 AS price, y, d FROM kinds)', 'y', 'd', NULL,
	'{"epochs": 3, "learning_rate": 0.1, "hidden": [4], "method": "backbone", "validation": 0,
	  "columns": {"age": {"buckets": [5, 10]}, "price": {"transform": "log1p"}}}');
SELECT a, moemlora_predict('buckets', 'a', ROW(a, 1)) = moemlora_predict('buckets', 'a', ROW(7.5, 1.0)) AS as_7
FROM unnest(ARRAY[4.9, 5, 9.99, 10, 1000]) AS a;
SELECT moemlora_predict('buckets', 'a', ROW(7, 1)) = moemlora_predict('buckets', 'a', '{"age": 7, "price": 1}'::jsonb) AS is_same;

-- types that are no features, and what to cast them to
CREATE FUNCTION refuse(expression text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM moemlora_train('refuse', format('(SELECT %s AS "my column", y, d FROM kinds)', expression), 'y', 'd')
$$;
SELECT refuse('now()');
SELECT refuse('now()::timestamp');
SELECT refuse('now()::time');
SELECT refuse('interval ''1 day''');
SELECT refuse('''{"a": 1}''::jsonb');
SELECT refuse('''{"a": 1}''::json');
SELECT refuse('''127.0.0.1''::inet');
SELECT refuse('1::money');
SELECT refuse('''ab''::bytea');
SELECT refuse('ROW(1, 2)');
SELECT refuse('ARRAY[now()]');
SELECT refuse('int4range(1, 2)');
SELECT refuse('1::oid');

-- a cast that fails, or that one may not use
CREATE TYPE broken AS (x real);
CREATE FUNCTION broken_to_real(broken) RETURNS real[] LANGUAGE sql AS 'SELECT NULL::real[]';
CREATE CAST (broken AS real[]) WITH FUNCTION broken_to_real(broken);
SELECT refuse('ROW(1)::broken');

-- a vector of another length: which row, and which lengths
SELECT count(*) > 0 AS is_trained FROM moemlora_train('lengths', '(SELECT v_float4 AS v, y, d FROM kinds)', 'y', 'd', NULL,
	'{"epochs": 1, "hidden": [2], "embedding_dim": 2, "method": "backbone"}');
SELECT count(*) FROM moemlora_train('lengths', '(SELECT CASE WHEN n_float8 > 5 THEN v_float4[:2] ELSE v_float4 END AS v, y, d FROM kinds ORDER BY n_float8)', 'y', 'd');
SELECT count(*) FROM moemlora_evaluate('lengths', '(SELECT CASE WHEN n_float8 > 5 THEN v_float4[:2] ELSE v_float4 END AS v, y, d FROM kinds ORDER BY n_float8)', 'y', 'd');
SELECT moemlora_predict('lengths', 'a', ROW(ARRAY[1.0, 2.0]));
SELECT moemlora_predict('lengths', 'a', '{"v": [1, 2, 3, 4]}');

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['kinds', 'dates', 'moods', 'buckets', 'stored', 'lengths']) AS name) AS dropped;
DROP FUNCTION same, refuse, stored;
DROP TABLE kinds, scores, dates;
DROP CAST (point3 AS real[]);
DROP CAST (broken AS real[]);
DROP FUNCTION point3_to_real, broken_to_real;
DROP TYPE mood, point3, broken;
DROP DOMAIN rating, tags, any_text, tall;
