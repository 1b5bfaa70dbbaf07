# The same rows make the same model, bit by bit, in whatever order they lie or
# come, by whatever plan they are read, and whichever session trains.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('order_free');

plant_clicks($node);

# Every kind of feature, NULLs, and rows that are there twice.
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT user_id, CASE WHEN id % 9 > 0 THEN 'item ' || item_id END AS item, price,
		   ARRAY[user_id % 5, item_id % 7] AS tags, ARRAY[id % 5, id % 3]::real[] AS picture, place, clicked
	FROM clicks(6000, 5, 0.5, 11);
	INSERT INTO shown SELECT * FROM shown LIMIT 500;
	CREATE TABLE by_price AS SELECT * FROM shown ORDER BY price;
	CREATE TABLE by_place (LIKE shown) PARTITION BY LIST (place);
	CREATE TABLE by_place_1 PARTITION OF by_place FOR VALUES IN ('noise', 'place 3');
	CREATE TABLE by_place_2 PARTITION OF by_place DEFAULT;
	INSERT INTO by_place SELECT * FROM shown ORDER BY md5(shown::text);
	ALTER TABLE shown SET (parallel_workers = 2);
	ANALYZE;
});

# The stored bytes of a training on that source.
sub train
{
	my ($source, $options, %how) = @_;

	sql($node, ($how{settings} // '') . qq{
		SELECT count(*) FROM moemlora_train('m', '$source', 'clicked', 'place',
			ARRAY['user_id', 'item', 'price', 'tags', 'picture'],
			'{"epochs": 2, "hidden": [16, 8], "embedding_dim": 4, "lora_rank": 2}'::jsonb || '$options')
	});
	return stored_bytes($node, 'm');
}

foreach my $options (
	'{}',
	'{"method": "mlora", "validation": 0}',
	'{"recipe": "gated", "gate": "input", "batch_size": 100}')
{
	my $first = train('shown', $options);

	is(train('shown', $options), $first, "$options: twice");
	is(train('by_price', $options), $first, "$options: in another order");
	is(train('by_place', $options), $first, "$options: partitioned");
	is(train('(SELECT * FROM shown ORDER BY random())', $options), $first, "$options: shuffled");
	is( train(
			'(SELECT picture, clicked, tags::bigint[], price::float8, place::varchar, user_id::bigint, item FROM shown)',
			$options),
		$first, "$options: other columns, types of the same values");
	isnt(train('shown', "$options\'::jsonb || \'{\"seed\": 43}"), $first, "$options: another seed makes another model");
	isnt(train('(SELECT * FROM shown OFFSET 1)', $options), $first, "$options: without a row it is another model");
}

# Read by parallel workers, in a new session; and with another number of workers asked for.
my $first = train('shown', '{}');

my $parallel = q{
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
};

is(train('shown', '{}', settings => $parallel),
	$first, 'a parallel plan of the source');
is(train('shown', '{"workers": 2}'), $first, 'another number of workers asked for');

finish($node);
