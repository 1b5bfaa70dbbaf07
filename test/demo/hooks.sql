--
-- hooks.sql - what expert_diversity and gate_entropy act on, measured in stored
-- models.  Run by hooks.sh; needs schema demo, and the rights of the database's
-- owner: the weights are read out of the stored bytes, whose format is drawn in
-- trainer/serialize.c.
--

-- A whole number of 4 bytes, the lowest first.
CREATE FUNCTION demo.word(bytes bytea, at int) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN get_byte(bytes, at) + (get_byte(bytes, at + 1) << 8) + (get_byte(bytes, at + 2) << 16)
	   + (get_byte(bytes, at + 3)::bigint << 24);

-- A real number of 4 bytes: sign, 8 bits of exponent, 23 of mantissa.
CREATE FUNCTION demo.float(word bigint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN word >> 31 = 1 THEN -1 ELSE 1 END
	   * CASE WHEN (word >> 23) & 255 = 0 THEN 0
		 ELSE ((word & 8388607) + 8388608) * 2::float8 ^ (((word >> 23) & 255) - 150) END;

-- A tensor of a model's current version: row, column (from 0), value.  It lies
-- behind its name, which has its length in front, and two numbers of 8 bytes:
-- of rows and of columns.
CREATE FUNCTION demo.tensor(model text, name text) RETURNS TABLE (i int, j int, x float8)
LANGUAGE sql STABLE AS $$
	WITH stored AS MATERIALIZED (
		SELECT string_agg(data, '' ORDER BY part) AS bytes
		FROM moemlora.model AS m JOIN moemlora.version AS v ON v.model_id = m.id AND v.number = m.current_version
		JOIN moemlora.component AS c ON c.version_id = v.id
		WHERE m.name = tensor.model),
	named AS (
		SELECT bytes, position(set_byte('\x00000000', 0, length(tensor.name)) || tensor.name::bytea IN bytes)
			   + 3 + length(tensor.name) AS at
		FROM stored),
	sized AS (SELECT bytes, at + 16 AS at, demo.word(bytes, at)::int AS n_rows, demo.word(bytes, at + 8)::int AS n_cols FROM named),
	numbers AS MATERIALIZED (
		SELECT substring(bytes FROM at + 1 FOR 4 * n_rows * n_cols) AS bytes, n_rows, n_cols FROM sized)
	SELECT i, j, demo.float(demo.word(bytes, 4 * (i * n_cols + j)))
	FROM numbers, generate_series(0, n_rows - 1) AS i, generate_series(0, n_cols - 1) AS j
$$;

-- Of three tower layers.  overlap: what expert_diversity weighs, the sum over the
-- layers of the mean over pairs of experts of |down^T down'|^2.  alignment: the
-- mean of the same over |down|^2 |down'|^2, which no change of size changes: 1
-- where all columns of both are parallel, 1 / inputs where they lie by chance.
CREATE FUNCTION demo.overlap(model text, OUT overlap float8, OUT alignment float8)
LANGUAGE sql STABLE AS $$
	WITH down AS MATERIALIZED (
		SELECT l, i, j, x, j * n_experts / (max(j) OVER (PARTITION BY l) + 1) AS e
		FROM generate_series(0, 2) AS l, demo.tensor(overlap.model, format('expert.tower.%s.down', l)),
			 (SELECT count(DISTINCT j) AS n_experts FROM demo.tensor(overlap.model, 'gate.domain')) AS gate),
	size AS (SELECT l, e, sum(x * x) AS size FROM down GROUP BY l, e),
	product AS (
		SELECT l, a.e AS e1, b.e AS e2, sum(a.x * b.x) AS product
		FROM down AS a JOIN down AS b USING (l, i) WHERE a.e < b.e GROUP BY l, a.e, b.e, a.j, b.j),
	pair AS (SELECT l, e1, e2, sum(product * product) AS square FROM product GROUP BY l, e1, e2)
	SELECT sum(square) / (count(*) / 3), avg(square / (a.size * b.size))
	FROM pair JOIN size AS a USING (l) JOIN size AS b USING (l) WHERE a.e = e1 AND b.e = e2
$$;

-- The gate's mean entropy over the places: 0 where one expert has all the weight,
-- ln(number of experts) where all have the same.
CREATE FUNCTION demo.gate_entropy(model text) RETURNS float8
LANGUAGE sql STABLE AS $$
	SELECT -avg(sum) FROM (
		SELECT i, sum(g * ln(g)) FROM (
			SELECT i, exp(x) / sum(exp(x)) OVER (PARTITION BY i) AS g FROM demo.tensor(gate_entropy.model, 'gate.domain')) AS gate
		GROUP BY i) AS row
$$;

CREATE TABLE demo.hook (id int GENERATED ALWAYS AS IDENTITY, option text, seed int, overlap float8, alignment float8, entropy float8, auc float8, wauc float8);
