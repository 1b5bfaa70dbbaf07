-- Model "bench" for the peers: its tensors out of the stored bytes, whose format is
-- drawn in trainer/serialize.c.  The rows of a feature's tables are put in the order
-- of its values, which here count from 0: so a peer looks a value up by itself.

-- A whole number of n bytes, the lowest first.
CREATE FUNCTION bench.number(bytes bytea, at int, n int) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN (SELECT sum(get_byte(bytes, at + i)::bigint << (8 * i)) FROM generate_series(0, n - 1) AS i);

-- The hash by which a whole number is a category (trainer/rng.c), modulo 2^64 as a
-- bigint, and as a number that sorts as the stored vocabulary does.
CREATE FUNCTION bench.times(a bigint, b numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN (SELECT CASE WHEN product >= 9223372036854775808 THEN product - 18446744073709551616 ELSE product END
		FROM (SELECT mod((a + 18446744073709551616) * b, 18446744073709551616) AS product) AS product);
CREATE FUNCTION bench.shifted(x bigint, n int) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN x # ((x >> n) & ((1::bigint << (64 - n)) - 1));
CREATE FUNCTION bench.hash(value int) RETURNS numeric
LANGUAGE sql IMMUTABLE
RETURN (SELECT CASE WHEN hash < 0 THEN hash + 18446744073709551616 ELSE hash END
		FROM (SELECT bench.shifted(bench.times(bench.shifted(bench.times(bench.shifted(
						 bench.times(value, 11400714819323198485) + 1, 30), 13787848793156543929), 27), 10723151780598845931), 31) AS hash) AS hashed);

CREATE TABLE bench.tensor (number int GENERATED ALWAYS AS IDENTITY, name text, rows int, cols int, data bytea);
DO $$
DECLARE
	stored bytea := (SELECT string_agg(data, '' ORDER BY part)
					 FROM moemlora.model AS m JOIN moemlora.version AS v ON v.model_id = m.id AND v.number = m.current_version
					 JOIN moemlora.component AS c ON c.version_id = v.id WHERE m.name = 'bench');
	at int := position('TENS\000\000\000\000'::bytea IN stored) + 23;
	name_length int;
	n_rows int;
	n_cols int;
BEGIN
	WHILE at < length(stored) LOOP
		name_length := bench.number(stored, at, 4);
		n_rows := bench.number(stored, at + 4 + name_length, 8);
		n_cols := bench.number(stored, at + 12 + name_length, 8);
		INSERT INTO bench.tensor (name, rows, cols, data)
		VALUES (convert_from(substring(stored FROM at + 5 FOR name_length), 'UTF8'), n_rows, n_cols,
				substring(stored FROM at + 21 + name_length FOR 4 * n_rows * n_cols));
		at := at + 20 + name_length + 4 * n_rows * n_cols;
	END LOOP;
END $$;

-- Which row of a feature's tables a value has: 0 unknown, 1 NULL, then the values by hash; domains by name.
CREATE TABLE bench.id AS
SELECT 'user_id' AS feature, value, coalesce(1 + rank, 0) AS id
FROM generate_series(0, 6039) AS value
LEFT JOIN (SELECT value, rank() OVER (ORDER BY bench.hash(value)) FROM (SELECT DISTINCT user_id AS value FROM bench.rows) AS v) AS known USING (value)
UNION ALL
SELECT 'item_id', value, coalesce(1 + rank, 0)
FROM generate_series(0, 3951) AS value
LEFT JOIN (SELECT value, rank() OVER (ORDER BY bench.hash(value)) FROM (SELECT DISTINCT item_id AS value FROM bench.rows) AS v) AS known USING (value)
UNION ALL
SELECT 'domain', place, 1 + place FROM generate_series(0, 6) AS place;

-- The tables of user_id, item_id and domain stand in this order; their names are not stored.
CREATE TABLE bench.weight AS
SELECT name, rows, cols, data FROM bench.tensor WHERE name NOT LIKE '%.'
UNION ALL
SELECT name || feature, count(*)::int, cols, string_agg(substring(data FROM 1 + 4 * cols * id::int FOR 4 * cols), '' ORDER BY value)
FROM (SELECT *, (ARRAY['user_id', 'item_id', 'domain'])[row_number() OVER (PARTITION BY name ORDER BY number)] AS feature
	  FROM bench.tensor WHERE name LIKE '%.') AS tensor
JOIN bench.id USING (feature)
GROUP BY name, feature, cols;
