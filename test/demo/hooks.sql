--
-- hooks.sql - what expert_diversity and gate_entropy act on, measured in stored
-- models.  Run by hooks.sh; needs schema demo, and the right to use the models.
--

-- A tensor of a model's current version: row, column (from 0), value.
CREATE FUNCTION demo.tensor(model text, name text) RETURNS TABLE (i int, j int, x float8)
LANGUAGE sql STABLE AS $$
	SELECT ((n - 1) / array_length(numbers, 2))::int, ((n - 1) % array_length(numbers, 2))::int, x
	FROM moemlora_tensor(tensor.model, tensor.name) AS numbers, unnest(numbers) WITH ORDINALITY AS u (x, n)
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
