# moemlora_fit(): the model is bitwise that of moemlora_train on the same rows,
# whatever the plan: serial, parallel with partial states, over partitions,
# joins, CTEs and subqueries, in any order, by group.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('fit');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE drawn AS
	SELECT c.*, id % 3 AS country, ARRAY['t' || id % 5, 't' || id % 11] AS tags,
		   CASE WHEN id % 9 > 0 THEN ARRAY[id % 4, id % 3, 0.5]::real[] END AS vec, (id % 4)::real AS worth
	FROM clicks(9000, 4, 0.5, 1) AS c;
	CREATE TYPE features AS (user_id int, item_id int, price real, tags text[], vec real[], worth real);
	CREATE TABLE by_country (LIKE drawn) PARTITION BY LIST (country);
	CREATE TABLE country_0 PARTITION OF by_country FOR VALUES IN (0);
	CREATE TABLE country_1 PARTITION OF by_country FOR VALUES IN (1);
	CREATE TABLE country_2 PARTITION OF by_country FOR VALUES IN (2);
	INSERT INTO by_country SELECT * FROM drawn ORDER BY md5(id::text);
	ANALYZE drawn, by_country;
});

my $options = q{'{"epochs": 2, "hidden": [8], "embedding_dim": 4, "lora_rank": 2, "recipe": "gated", "weight_column": "worth"}'};
my $row = 'ROW(user_id, item_id, price, tags, vec, worth)::features';
my $fit = "moemlora_fit(clicked, place, $row, $options)";
my $in_parallel = q{
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	SET max_parallel_workers_per_gather = 3;
};

# The stored bytes of moemlora_train on the same rows, as their checksum.
sub trained
{
	my ($where) = @_;

	sql($node, qq{SELECT count(*) FROM moemlora_train('m', '(SELECT clicked, place, user_id, item_id, price, tags, vec, worth
		FROM drawn WHERE $where)', 'clicked', 'place', NULL, $options)});
	return sql(
		$node, q{
		SELECT md5(string_agg(c.data, '' ORDER BY part)) FROM moemlora.component c
		JOIN moemlora.version v ON v.id = c.version_id JOIN moemlora.model m ON m.id = v.model_id AND m.current_version = v.number});
}

my $all = trained('true');
my @countries = map { trained("country = $_") } 0 .. 2;

sub explained
{
	my ($query) = @_;

	return sql($node, "$in_parallel EXPLAIN (COSTS off) $query");
}

foreach my $case (
	[ 'plain' => "SELECT md5($fit) FROM drawn" ],
	[ 'ordered' => "SELECT md5(moemlora_fit(clicked, place, $row, $options ORDER BY price, id)) FROM drawn" ],
	[ 'rows in another order, from partitions' => "SELECT md5($fit) FROM by_country" ],
	[ 'a join' => "SELECT md5($fit) FROM drawn JOIN (VALUES (0), (1), (2)) AS c (n) ON n = country" ],
	[ 'a CTE' => "WITH rows AS MATERIALIZED (SELECT * FROM drawn) SELECT md5($fit) FROM rows" ],
	[ 'a subquery' => "SELECT md5((SELECT $fit FROM drawn))" ])
{
	my ($what, $query) = @$case;

	is(sql($node, $query), $all, "$what: the model of moemlora_train");
	is(sql($node, "$in_parallel $query"), $all, "$what: and where plans may be parallel");
}
is( sql($node, "SELECT string_agg(model, ' ' ORDER BY country) FROM (SELECT country, md5($fit) AS model FROM drawn GROUP BY country) AS g"),
	"@countries", 'by group: the models of moemlora_train');
is( sql($node, "$in_parallel SELECT string_agg(model, ' ' ORDER BY country)
		FROM (SELECT country, md5($fit) AS model FROM drawn GROUP BY country) AS g"),
	"@countries", 'by group in parallel');
is( sql($node, "$in_parallel SET enable_partitionwise_aggregate = on; SELECT string_agg(model, ' ' ORDER BY country)
		FROM (SELECT country, md5($fit) AS model FROM by_country GROUP BY country) AS g"),
	"@countries", 'by group, each in a partition');
is( sql($node, "$in_parallel SET enable_partitionwise_aggregate = on; SET enable_hashagg = off; SELECT md5($fit) FROM by_country"),
	$all, 'partial states of partitions');
is(sql($node, "SELECT md5(moemlora_fit(clicked, place, $row, $options) FILTER (WHERE country = 1)) FROM drawn"),
	$countries[1], 'with FILTER');

# The plans are what they are called.
my $plan = explained("SELECT md5($fit) FROM drawn");

like($plan, qr/Finalize Aggregate.*Gather.*Workers Planned: [1-3].*Partial Aggregate.*Parallel Seq Scan/s, 'partial states in workers');
like(explained("SELECT country, md5($fit) FROM drawn GROUP BY country"), qr/Finalize GroupAggregate.*Partial/s, 'by group too');
unlike(sql($node, 'SET work_mem = \'64MB\'; EXPLAIN (COSTS off) SELECT user_id, ' . $fit . ' FROM drawn GROUP BY user_id'),
	qr/HashAggregate/, 'thousands of groups are not held at once');

# Times, and workers of the training itself.
my $timed = $options =~ s/"weight_column": "worth"/"time_column": "worth", "workers": 2/r;
my $by_time = "SELECT md5(moemlora_fit(clicked, place, $row, $timed)) FROM drawn";
my $expected = sql($node, $by_time =~ s/"workers": 2/"workers": 0/r);

is(sql($node, $by_time), $expected, 'workers that train change nothing');
like(sql($node, "SET client_min_messages = debug1; $by_time", notices => 1), qr/training on [\d,]+ rows in 3 processes/, 'they do train');
like(sql($node, "$in_parallel SET client_min_messages = debug1; $by_time", notices => 1), qr/training on [\d,]+ rows in 1 process/,
	'not inside a parallel plan');
is(sql($node, "$in_parallel $by_time"), $expected, 'nor do workers that read, with times');

# What partial states say and take is added up.
like(
	sql($node, "$in_parallel SELECT md5(moemlora_fit(CASE WHEN id % 10 > 0 THEN clicked END, place, $row, $options)) FROM drawn", notices => 1),
	qr/NOTICE:  00000: 900 rows were left out/, 'rows left out in every process');
refuses(
	$node, "$in_parallel SET enable_sort = off; SET work_mem = '1GB'; SET moemlora.training_memory = '1MB';
		SELECT country, length($fit) FROM drawn GROUP BY country",
	'54000', qr/allowed\. .*Other groups hold the rest: set enable_hashagg = off/s, 'memory of all groups, put together from all processes');

# What cannot be put together.
refuses($node, "$in_parallel SELECT length(moemlora_fit(clicked, place, CASE WHEN id % 2 = 0 THEN ROW(user_id) ELSE ROW(user_id, item_id) END))
		FROM drawn", '42804', qr/must be of one type for all rows of a group/, 'rows of two types in every process');
refuses($node, "$in_parallel SELECT length(moemlora_fit(clicked, place, ROW(user_id, CASE WHEN id % 2 = 0 THEN vec ELSE vec || 1::real END)))
		FROM drawn", '22000', qr/vector feature "f2" has length/, 'vectors of two lengths');

# A cancel while it trains.
refuses($node, "SET statement_timeout = 300; SELECT length(moemlora_fit(clicked, place, $row,
		'{\"epochs\": 1000, \"patience\": 1000}')) FROM drawn", '57014', qr/statement timeout/, 'a timeout ends it');
is(sql($node, "SELECT md5($fit) FROM drawn"), $all, 'and the next one is right');
finish($node);
