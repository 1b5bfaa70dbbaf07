# A row scores the same in every form and under every plan.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('same_scores', settings => "max_worker_processes = 8\nmax_parallel_workers = 4\n");

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT *, CASE WHEN id % 9 > 0 THEN 'item ' || item_id END AS item, ARRAY[user_id % 5, item_id % 7] AS tags,
		   ARRAY[sin(id), cos(id), id % 3]::real[] AS picture, date '2024-01-01' + user_id AS since, id % 2 = 0 AS is_new
	FROM clicks(20000, 5, 0.5, 7);
	ALTER TABLE shown SET (parallel_workers = 3);
	ANALYZE shown;
});

sub train
{
	my ($options) = @_;

	return sql(
		$node, qq{
		SELECT count(*) FROM moemlora_train('m', 'shown', 'clicked', 'place',
			ARRAY['user_id', 'item', 'price', 'tags', 'picture', 'since', 'is_new'],
			'{"epochs": 2, "hidden": [16, 8], "embedding_dim": 4, "lora_rank": 2, "learning_rate": 0.02}'::jsonb || '$options')
	});
}

foreach my $options (
	'{"method": "backbone"}', '{"method": "mlora", "serve": "own"}',
	'{"recipe": "paper", "serve": "gate"}', '{"recipe": "paper", "gate": "input", "serve": "gate"}')
{
	train($options);
	is( sql(
			$node, q{
			SELECT count(*) || ' ' || bool_and(abs(r - j) < 1e-6 AND abs(r - t) < 1e-6 AND abs(r - p) < 1e-6 AND r > 0 AND r < 1)
			FROM (SELECT moemlora_predict('m', place, s) AS r, moemlora_predict('m', place, to_jsonb(s)) AS j,
						 moemlora_predict('m', place, to_jsonb(s)::text) AS t,
						 moemlora_predict('m', place, ROW(s.user_id, s.item, s.price, s.tags, s.picture, s.since, s.is_new)) AS p
				  FROM shown s) AS scored
		}),
		'20000 true', "$options: record, jsonb, text and ROW(...)");
}

# Parallel plans: the leader leaves the rows to the workers, so they did score.
my $query = 'SELECT id, moemlora_predict(\'m\', place, s) AS score FROM shown s';
my $parallel = q{
	SET max_parallel_workers_per_gather = 3;
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET parallel_leader_participation = off;
};

like(sql($node, "$parallel EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $query"),
	qr/Workers Launched: [123]/, 'workers score');
sql($node, "SET max_parallel_workers_per_gather = 0; CREATE TABLE serial AS $query");
sql($node, "$parallel CREATE TABLE parallel AS $query");
is(sql($node, 'SELECT count(*) || \' \' || bool_and(s.score = p.score) FROM serial s JOIN parallel p USING (id)'),
	'20000 true', 'a parallel plan gives the same bits as a serial one');

# One user, many items: what rows share is worked out once, and that changes no bit, whatever rows come before.
sql(
	$node, q{
	CREATE TABLE candidates AS
	SELECT user_id, item_id, user_id % 3 AS a, user_id % 5 AS b, user_id % 7 AS c, sin(user_id)::real AS d, user_id % 11 AS e, 'place ' || user_id % 4 AS place,
		   (user_id * 7 + item_id * 3) % 5 < 2 AS clicked
	FROM generate_series(1, 40) AS user_id, generate_series(1, 100) AS item_id;
	ALTER TABLE candidates SET (parallel_workers = 3);
	ANALYZE candidates;
	SELECT count(*) FROM moemlora_train('m', 'candidates', 'clicked', 'place', NULL,
		'{"epochs": 1, "hidden": [32, 8], "embedding_dim": 8, "min_domain_rows": 10, "recipe": "paper", "serve": "gate"}');
});
my $candidates = q{SELECT user_id, item_id, moemlora_predict('m', place, x) AS score FROM};

sql($node, "CREATE TABLE by_user AS $candidates (SELECT * FROM candidates ORDER BY user_id, item_id OFFSET 0) AS x");
sql($node, "CREATE TABLE by_item AS $candidates (SELECT * FROM candidates ORDER BY item_id, user_id OFFSET 0) AS x");
sql($node, "$parallel CREATE TABLE by_worker AS $candidates candidates AS x");
is( sql(
		$node, q{
		SELECT count(*) || ' ' || bool_and(u.score = i.score AND u.score = w.score) || ' ' || count(DISTINCT u.score) / 1000
		FROM by_user u JOIN by_item i USING (user_id, item_id) JOIN by_worker w USING (user_id, item_id)}),
	'4000 true 3', 'rows score the same to the last bit in any order and plan');
is( sql(
		$node, q{
		SELECT count(*) || ' ' || bool_and(abs(score - p) < 1e-6 AND abs(score - q) < 1e-6 AND abs(score - r) < 1e-6)
		FROM by_user JOIN (SELECT user_id, item_id, moemlora_score('m', place, x) OVER (PARTITION BY user_id) AS p,
							moemlora_score('m', place, x) OVER (ORDER BY user_id) AS q, moemlora_score('m', place, x) OVER (PARTITION BY item_id) AS r
						   FROM candidates x) AS s USING (user_id, item_id)}),
	'4000 true', 'and in windows within 1e-6');

# Aggregates add up the same whatever the plan.
my $figures = 'SELECT place, moemlora_auc(score, clicked), round(moemlora_logloss(score, clicked)::numeric, 12)'
  . ' FROM serial JOIN shown USING (id) GROUP BY place ORDER BY place';

sql($node, 'ALTER TABLE serial SET (parallel_workers = 3); ANALYZE serial');
like(sql($node, "$parallel EXPLAIN (COSTS OFF) $figures"), qr/Partial (?:Hash|Group)?Aggregate/, 'workers aggregate');
is(sql($node, "$parallel $figures"), sql($node, "SET max_parallel_workers_per_gather = 0; $figures"),
	'parallel aggregates give the figures of serial ones');

finish($node);
