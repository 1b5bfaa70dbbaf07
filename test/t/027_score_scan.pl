# Plans that score without a window: where they are made, that they give what
# the window gives, serial and in parallel, and that nothing gets around rights.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('score_scan', settings => "max_worker_processes = 8\nmax_parallel_workers = 8\n");

# All of test/sql/score.sql in a new database, as a session with such settings sees it.
sub score_tests
{
	my ($name, @settings) = @_;
	my ($out, $err);

	sql($node, "CREATE DATABASE $name");
	sql($node, 'CREATE EXTENSION moemlora', db => $name);
	local $ENV{PGOPTIONS} = join ' ', map { "-c $_" } @settings;
	my @command = ('psql', '-XAtq', '-d', $node->connstr($name), '-f', "$ENV{TESTDIR}/test/sql/score.sql");
	IPC::Run::run(\@command, '>', \$out, '2>', \$err);
	$err =~ s/^psql:\S*score\.sql:/line /mg;
	return "$out\n$err";
}

my $as_window = score_tests('windows', 'moemlora.enable_score_scan=off');

like($as_window, qr/^1500\|t\|/m, 'the tests of moemlora_score() run');
is(score_tests('scans'), $as_window, 'and give without windows what they give with them');
is( score_tests(
		'workers', 'parallel_setup_cost=0', 'parallel_tuple_cost=0', 'min_parallel_table_scan_size=0',
		'max_parallel_workers_per_gather=3'),
	$as_window, 'in workers, too');

# ------------------------------------------------------------------- the plans

sql($node, q{
	CREATE TABLE shown AS SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked, i % 2 AS half FROM generate_series(1, 20000) AS i;
	CREATE TABLE parts (LIKE shown) PARTITION BY LIST (half);
	CREATE TABLE part_0 PARTITION OF parts FOR VALUES IN (0);
	CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
	INSERT INTO parts SELECT * FROM shown;
	ANALYZE shown, parts;
	SELECT count(*) FROM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 2, "hidden": [8], "method": "mlora", "serve": "own"}');
	CREATE TABLE expected AS SELECT *, moemlora_predict('m', place, s) AS p FROM shown s;
	SELECT count(*) FROM moemlora_train('n', 'shown', 'clicked', 'place', ARRAY['half', 'id'], '{"epochs": 1, "hidden": [8], "method": "backbone"}');
	CREATE INDEX ON shown (id);
	CREATE TABLE dropped (gone text, LIKE expected);
	ALTER TABLE dropped DROP COLUMN gone;
	INSERT INTO dropped SELECT * FROM expected;
	ALTER TABLE dropped ADD COLUMN added text DEFAULT 'a', DROP COLUMN half;
	CREATE TABLE long AS SELECT i % 2 = 0 AS y, 'a' AS d, (SELECT string_agg(md5((i % 3 + n)::text), '') FROM generate_series(1, 200) AS n) AS text,
		array_fill(i % 5, ARRAY[2000])::real[] AS vec, 'not read' AS more FROM generate_series(1, 600) AS i;
	SELECT count(*) FROM moemlora_train('long', 'long', 'y', 'd', ARRAY['text', 'vec'], '{"epochs": 1, "hidden": [4], "embedding_dim": 2, "method": "backbone", "batch_size": 8}');
	CREATE FUNCTION same(a real, b real) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN a IS NOT DISTINCT FROM b OR abs(a - b) < 1e-6;
});

my $score = q{moemlora_score('m', place, s) OVER ()};
my $window = q{moemlora_score('m', place, s) OVER};
my $cheap_workers = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;';

# The names of a plan's nodes, from the top.
sub nodes
{
	my ($query, $settings) = @_;

	return join ' ', map { s/^\s*(?:->\s*)?//r =~ s/ +(?:on|using) .*//r } grep { !/:/ } split /\n/,
		sql($node, ($settings // '') . "EXPLAIN (COSTS OFF) $query");
}

my $serial = 'SET max_parallel_workers_per_gather = 0; ';
my $node_name = 'Custom Scan (MoemloraScore)';

is(nodes("SELECT $score FROM shown s", $serial), "$node_name Seq Scan", 'OVER () needs no window');
is(nodes("SELECT $window (PARTITION BY place) FROM shown s", $serial), "$node_name Sort Seq Scan", 'PARTITION BY keeps its order');
is(nodes("SELECT $score FROM shown s", $serial . 'SET moemlora.enable_score_scan = off; '), 'WindowAgg Seq Scan', 'the setting switches it off');
is(nodes("SELECT $score, row_number() OVER () FROM shown s", $serial), 'WindowAgg Seq Scan', 'beside another function there is a window');
is( nodes("SELECT $score, row_number() OVER (ORDER BY user_id) FROM shown s", $serial), 'WindowAgg WindowAgg Sort Seq Scan',
	'above another window, too');
is(nodes("SELECT $score, $window (ORDER BY user_id) FROM shown s", $serial), 'WindowAgg WindowAgg Sort Seq Scan', 'of two windows, both stay');
is(nodes("SELECT $window (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM shown s", $serial), 'WindowAgg Seq Scan', 'a frame may be wrong: a window looks');
refuses($node, "SELECT $window (ROWS BETWEEN -1 PRECEDING AND CURRENT ROW) FROM shown s", '22013', 'must not be negative', 'and says so');
my $drawn = q{moemlora_score('m', place, ROW((random() * 49)::int)) OVER ()};
is(nodes("SELECT $drawn FROM shown s", $serial), "$node_name Seq Scan", 'rows may be drawn');
is(sql($node, "$serial SELECT count(*) FILTER (WHERE a IS DISTINCT FROM b) > 0 FROM (SELECT $drawn AS a, $drawn AS b FROM shown s) AS x"), 't', 'each for its own call');
is(nodes("SELECT row_number() OVER () FROM shown s", $serial), 'WindowAgg Seq Scan', 'windows without it are not our business');
is(nodes("SELECT $score FROM shown s", $cheap_workers), "Gather $node_name Parallel Seq Scan", 'workers score');
is( nodes("SELECT id, $score AS x FROM shown s ORDER BY x DESC LIMIT 5", $cheap_workers), "Limit Gather Merge Sort $node_name Parallel Seq Scan",
	'and sort, where the best are asked for');
is( nodes("SELECT place, avg(x) FROM (SELECT place, $score AS x FROM shown s) AS y GROUP BY place", $cheap_workers),
	"Finalize GroupAggregate Gather Merge Sort Partial HashAggregate $node_name Parallel Seq Scan",
	'and aggregate, where it stands in a subquery');
is(nodes("SELECT $window (ORDER BY id) FROM shown s", $cheap_workers) =~ /^\Q$node_name\E/, 1, 'an order is kept: no worker scores then');
like(nodes("SELECT moemlora_score('m', place, ROW(user_id * random()::int)) OVER () FROM shown s", $cheap_workers), qr/^\Q$node_name\E/,
	'what no worker may evaluate stays with the leader');
my $join = q{SELECT sum(x) FROM shown b JOIN (SELECT id, moemlora_score('m', place, %s) OVER () AS x FROM shown s) AS y USING (id)};

like(nodes(sprintf($join, 's'), $cheap_workers), qr/^Finalize Aggregate Gather .*MoemloraScore/, 'a join may take scores in workers');
like(nodes(sprintf($join, 'ROW(user_id * random()::int)'), "$cheap_workers SET parallel_tuple_cost = 10; "), qr/^Aggregate Hash Join .*MoemloraScore/, 'but not such');
unlike(nodes("SELECT $score FROM parts s", $cheap_workers), qr/WindowAgg/, 'partitions are scored together');

# ------------------------------------------------- what is returned beside scores

# Whether all rows of a query have their scores (columns id, x), with the last settings given.
sub is_right
{
	my ($query, $name, $settings) = @_;

	foreach my $way ($serial, $cheap_workers)
	{
		is( sql($node, $way . ($settings // '') . "SELECT count(*), bool_and(same(x, p)) FROM ($query) AS y JOIN expected USING (id)"), '20000|t',
			$name . ($way eq $serial ? '' : ', by workers'));
	}
	return;
}

is_right("SELECT id, $score AS x FROM shown s", 'each row has its score');
is_right("SELECT id, $score AS x FROM parts s", 'each row of partitions has its score');
is_right("SELECT id, least($score, $score * 1, 1.0)::real AS x FROM shown s", 'calls stand in expressions, twice');
is_right("SELECT id, coalesce(x, y) AS x FROM (SELECT id, $score AS x, moemlora_score('m', place, ROW(user_id)) OVER () AS y FROM shown s) AS z",
	'two different calls');
is_right(q{SELECT id, moemlora_score('m', place, s) OVER () AS x FROM (SELECT place, user_id, id FROM shown OFFSET 0) AS s}, 'of a subquery');
is_right(q{SELECT t.id, moemlora_score('m', t.place, s) OVER () AS x FROM shown t JOIN (SELECT id, user_id FROM shown) AS s USING (id)}, 'of a join');
is_right(q{SELECT max(id) AS id, moemlora_score('m', place, ROW(max(user_id))) OVER () AS x FROM shown GROUP BY place, id}, 'of groups');
is_right("SELECT DISTINCT id, $score AS x FROM shown s", 'under DISTINCT');
is_right("SELECT id, $score AS x FROM shown s WHERE half = 0 UNION ALL SELECT id, $score FROM shown s WHERE half = 1", 'under UNION ALL');
is_right("WITH c AS MATERIALIZED (SELECT id, $score AS x FROM shown s) SELECT * FROM c", 'in a CTE');
is_right("SELECT id, x FROM (SELECT s, id, place, repeat(place, id % 5) AS text, $score AS x, NULLIF(id % 3, 0) AS number FROM shown s) AS y
	WHERE (s).id = id AND text = repeat(place, id % 5) AND number IS NOT DISTINCT FROM NULLIF(id % 3, 0)", 'columns of all kinds beside it');
is_right("SELECT id, x FROM (SELECT id, $score AS x, generate_series(1, 2) AS n FROM shown s) AS y WHERE n = 2", 'under a set');
is_right("SELECT id, $score AS x FROM shown s", "in small blocks, work_mem $_", "SET work_mem = '$_'; ") foreach qw(64kB 256kB);
is_right("SELECT id, $score AS x FROM shown s WHERE user_id >= 0 AND half < 2 ORDER BY 'x'::text", 'in no order');
is_right("SELECT id, $score AS x FROM (SELECT *, 5 AS five FROM shown) AS s WHERE five = 5 ORDER BY five", 'in an order of equals');

# Features that come in columns of a table, however it is read, or of ROW(...).
is_right("SELECT id, $score AS x FROM shown s WHERE id > 0", "rows of $_", "SET enable_seqscan = off; SET enable_$_ = on; ")
  foreach qw(indexscan bitmapscan);
is_right("SELECT id, $score AS x FROM shown s TABLESAMPLE system (100)", 'of a sample');
is_right(q{SELECT id, moemlora_score('m', place, ROW(user_id)) OVER () AS x FROM shown}, 'ROW()');
is_right(q{SELECT id, moemlora_score('m', place, ROW(user_id + 0)) OVER () AS x FROM shown}, 'ROW() of an expression');
is_right(q{SELECT id, moemlora_score('m', place, s) OVER () AS x FROM (SELECT half AS more, user_id AS user_id, place, id FROM shown) AS s}, 'names of another order');
is_right("SELECT id, $score AS x FROM dropped s", 'a table without columns that it had, with one that its rows do not have');
is_right("SELECT id, x FROM (SELECT id, added, $score AS x FROM dropped s) AS y WHERE added = 'a'", 'and that is returned');
is_right("SELECT id, x FROM (SELECT id, s AS row, $score AS x FROM shown s) AS y WHERE (row).id = id", 'the row itself beside it');
is_right("SELECT id, x FROM (SELECT id, ctid, tableoid::regclass AS table, $score AS x FROM shown s) AS y WHERE ctid IS NOT NULL AND \"table\" = 'shown'::regclass",
	'system columns beside it');
is_right("SELECT id, $score AS x FROM shown s WHERE (s).id > 0 AND s IS NOT NULL", 'a condition on the row');
is_right("SELECT id, CASE WHEN id % 2 = 0 THEN x ELSE p END AS x FROM (SELECT id, p,
	moemlora_score(CASE id % 2 WHEN 0 THEN 'm' ELSE 'n' END, place, s) OVER () AS x FROM expected s) AS y", 'models that read other columns');
is( sql($node, "$serial SELECT count(x), count(*) FROM (SELECT moemlora_score(CASE id % 2 WHEN 0 THEN 'm' ELSE 'n' END, place, s) OVER () AS x,
			moemlora_predict(CASE id % 2 WHEN 0 THEN 'm' ELSE 'n' END, place, s) AS p FROM shown s) AS y WHERE same(x, p)"),
	'20000|20000', 'each by its own');
is( sql($node, "$serial SELECT count(x), count(DISTINCT x) > 2, bool_and(same(x, p)) FROM (SELECT moemlora_score('long', d, l) OVER () AS x, moemlora_predict('long', d, l) AS p FROM long l) AS y"),
	'600|t|t', 'long values');
sql($node, q{
	CREATE TABLE wide AS SELECT user_id, place, (SELECT string_agg(md5((id + n)::text), '') FROM generate_series(1, 200) AS n) AS not_read FROM shown WHERE id <= 1000;
	SELECT count(x) FROM (SELECT moemlora_score('m', place, w) OVER () AS x FROM wide w) AS y;
});
my ($pages) = sql($node, "$serial EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) SELECT moemlora_score('m', place, w) OVER () FROM wide w") =~ /Buffers: shared hit=(\d+)/;
cmp_ok($pages, '<', 1000, 'columns that are no features stay where they are');
is( sql($node, "$serial SELECT count(x), bool_and(same(x, p)), bool_and(same(y, q)) FROM (SELECT moemlora_score('n', place, ROW(1, id)) OVER () AS x, moemlora_predict('n', place, ROW(1, id)) AS p,
			moemlora_score('m', 'place 2', ROW(7)) OVER () AS y, moemlora_predict('m', 'place 2', ROW(7)) AS q FROM shown) AS z"),
	'20000|t|t', 'ROW() with constants');
refuses($node, "SELECT moemlora_score('m', place, ROW()) OVER () FROM shown", '42804', 'record has 0 fields', 'a row without columns');

is(sql($node, "$serial SELECT count(*), count(x) FROM (SELECT moemlora_score('m', 'place 1', r) OVER () AS x
		FROM shown l LEFT JOIN (SELECT user_id, id * 2 AS id FROM shown) AS r USING (id)) AS y"),
	'20000|10000', 'a row that an outer join makes up has no score');
is(sql($node, "SELECT count(x) FROM (SELECT $score AS x FROM shown s WHERE false) AS y"), '0', 'no rows');
is(sql($node, "SELECT count(*) FROM (SELECT $score AS x FROM shown s LIMIT 700) AS y"), '700', 'not all rows');
my ($read) = sql($node, "$serial SET work_mem = '64kB'; EXPLAIN (ANALYZE, COSTS OFF) SELECT $score FROM shown s LIMIT 1") =~ /Seq Scan.*rows=(\d+)/;
cmp_ok($read, '>', 50, 'blocks are of many rows with the least of work_mem, too');

# Scores in expressions of all kinds: none of them gets in the planner's way.
foreach my $expression (
	"($score)::text", "($score)::numeric", "(($score)::text)::varchar(5)", "ARRAY[$score, 1]", "ROW($score, 1)::text",
	"CASE $score WHEN 0.5 THEN 1 ELSE 2 END", "($score) IN (0.1, 0.2)", "jsonb_build_object('score', $score)", "($score) IS NULL",
	"($score) > 0.3 AND half = 1", "format('%s', $score)", "(ARRAY[1, 2])[1 + ($score)::int]", "$score || '!'")
{
	my $sum = "SELECT count(x), count(DISTINCT x::text) FROM (SELECT $expression AS x FROM shown s) AS y";

	is(sql($node, "$cheap_workers $sum"), sql($node, "SET moemlora.enable_score_scan = off; $sum"), "$expression, by workers");
}

# Every row of an outer query begins anew: what is below, also where it could be kept, and the block, also half-way.
is( sql($node, "$serial SELECT bool_and(x = n) FROM (SELECT k, (SELECT count(x) FROM (SELECT $score AS x FROM shown s WHERE id <= k) AS y) AS x, k AS n
		FROM (VALUES (3), (700), (0), (5)) AS v(k)) AS z"),
	't', 'a scan begins anew');
is( sql($node, "$serial SET enable_sort = off; SELECT bool_and(x = n) FROM (SELECT k, least(k, 50) AS n, (SELECT count(x) FROM
			(SELECT moemlora_score('m', 'place 1', ROW(user_id)) OVER () AS x FROM shown s WHERE id <= k GROUP BY user_id) AS y) AS x
		FROM (VALUES (3), (700), (0), (5)) AS v(k)) AS z"),
	't', 'groups are made anew');
is( sql($node, "$serial SELECT bool_and(first = k) FROM (SELECT k, (SELECT id FROM (SELECT id, $score AS x FROM shown s WHERE id >= k) AS y WHERE x > 0 LIMIT 1) AS first
		FROM (VALUES (3), (700), (1), (5)) AS v(k)) AS z"),
	't', 'rows that nobody asked for are dropped');

# EXPLAIN shows the calls of every plan, executed or not.
foreach my $way ($serial, $cheap_workers, "SET plan_cache_mode = force_generic_plan; $serial")
{
	foreach my $options ('VERBOSE', 'ANALYZE, VERBOSE', 'VERBOSE, FORMAT JSON')
	{
		like(sql($node, "$way PREPARE q AS SELECT id, $score AS x FROM shown s ORDER BY x LIMIT 2;
				EXPLAIN ($options) EXECUTE q; EXPLAIN ($options) EXECUTE q"),
			qr/moemlora_score\('m'::text, .*place, s\.\*\)(?! OVER)/, "EXPLAIN ($options)");
	}
}

# ----------------------------------------------------- rights, versions, sessions

sql($node, q{
	CREATE ROLE without_function;
	CREATE ROLE without_model;
	REVOKE EXECUTE ON FUNCTION moemlora_score(text, text, record) FROM PUBLIC;
	GRANT EXECUTE ON FUNCTION moemlora_score(text, text, record) TO without_model;
	SELECT moemlora_grant('m', 'without_function');
	GRANT SELECT ON shown TO PUBLIC;
});
refuses($node, "SET ROLE without_function; SELECT $score FROM shown s", '42501', 'permission denied for function moemlora_score', 'the right to the function is asked for');
refuses($node, "SET ROLE without_model; SELECT $score FROM shown s", '42501', 'm', 'the right to the model is asked for');
refuses($node, "$cheap_workers SET ROLE without_model; SELECT $score FROM shown s", '42501', 'm', 'by workers, too');
sql($node, 'GRANT EXECUTE ON FUNCTION moemlora_score(text, text, record) TO PUBLIC');

sql($node, 'ALTER FUNCTION moemlora_score(text, text, record) PARALLEL RESTRICTED');
is(nodes("SELECT $score FROM shown s", $cheap_workers) =~ /^\Q$node_name\E/, 1, 'a function that is no longer for workers stays with the leader');
sql($node, 'ALTER FUNCTION moemlora_score(text, text, record) PARALLEL SAFE');

my $session = Moemlora::Session->new($node);
my $prepared = qq{SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT max(x)::numeric(9, 6) FROM (SELECT $score AS x FROM shown s) AS y};

$session->ask($prepared);
my $before = $session->ask('EXECUTE q');
sql($node, q{SELECT count(*) FROM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "seed": 7, "method": "backbone"}')});
my $after = $session->ask('EXECUTE q');
isnt($after, $before, 'a prepared plan takes the model that is current');
is($after, sql($node, "SELECT max(moemlora_predict('m', place, s))::numeric(9, 6) FROM shown s"), 'and scores by it');
sql($node, 'ALTER TABLE shown ADD COLUMN more int');
is($session->ask('EXECUTE q'), $after, 'and the table that is');

# The first statement of a session already has such a plan: no library is loaded before.
like(sql($node, "EXPLAIN SELECT $score FROM shown s"), qr/MoemloraScore/, 'nothing needs to be loaded for it');

finish($node);
