# What values mean, by the words of the documentation: NULL, unknown, rare and
# repeated ones, in scoring and in training.
#
# Scores are held against plain loops over the stored bytes (Moemlora::Stored).
# Trainings are held against each other: two that must be the same but for
# rounding, and others that must not.  Types: test/sql/features.sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Moemlora::Stored;
use Test::More;

use constant ERROR => 2e-6;    # of a score in float32

my $node = new_server('values');
my $session = Moemlora::Session->new($node);
my $stored;

sub train
{
	my ($source, $options) = @_;

	$session->ask(qq{
		SELECT count(*) FROM moemlora_train('m', \$s\$$source\$s\$, 'y', 'd', NULL,
			'{"epochs": 20, "hidden": [6, 4], "embedding_dim": 3, "learning_rate": 0.02, "dropout": 0, "validation": 0,
			  "batch_size": 1024, "method": "backbone"}'::jsonb || '$options')});
	die $session->errors if $session->errors ne '';
	return;
}

# Scores of rows given as JSON, in their order.
sub scores
{
	my ($domain, @rows) = @_;
	my $list = join ', ', map { "\$j\$$_\$j\$" } @rows;

	return split /\n/, $session->ask(qq{
		SET extra_float_digits = 1;
		SELECT moemlora_predict('m', '$domain', j::jsonb) FROM unnest(ARRAY[$list]) WITH ORDINALITY AS u(j, n) ORDER BY n});
}

sub largest_difference
{
	my ($as, $bs) = @_;
	my $largest = @$as == @$bs ? 0 : 9;

	foreach my $i (0 .. $#$as)
	{
		my $difference = abs($as->[$i] - $bs->[$i]);

		$largest = $difference if !($difference <= $largest);
	}
	return $largest;
}

# One test: each JSON row scores as the model does with its values.
sub score_as
{
	my ($what, @pairs) = @_;
	my (@rows, @expected);

	while (my ($json, $values) = splice @pairs, 0, 2)
	{
		push @rows, $json;
		push @expected, $stored->score('a', $values);
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(largest_difference([ scores('a', @rows) ], \@expected), '<', ERROR, $what);
}

# One test: the rows score alike, or no two of them do.
sub all_alike
{
	my ($what, @rows) = @_;
	my @scores = scores('a', @rows);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(largest_difference(\@scores, [ ($scores[0]) x @rows ]), '<', ERROR, $what);
}

sub all_differ
{
	my ($what, @rows) = @_;
	my @scores = sort { $a <=> $b } scores('a', @rows);
	my ($closest) = sort { $a <=> $b } map { $scores[$_] - $scores[ $_ - 1 ] } 1 .. $#scores;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok($closest, '>', 10 * ERROR, $what);
}

# One test: the values of a category have the ids from `FIRST` on, one each; which, the scores tell.
# Returns the id of each.
sub ids_of
{
	my ($feature, @values) = @_;
	my @scores = scores('a', map { qq({"$feature": "$_"}) } @values);
	my $n = @{ $stored->tensor("embedding.$feature") };
	my %id;

	foreach my $id (Moemlora::Stored::FIRST .. $n - 1)
	{
		my $expected = $stored->score('a', { $feature => $id });
		my @those = grep { abs($scores[$_] - $expected) < ERROR } 0 .. $#values;

		$id{ $values[ $those[0] ] } = $id if @those == 1;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join(' ', sort keys %id), join(' ', sort @values), "$feature: known values have an id each");
	return %id;
}

# Rows of every kind with NULLs in each; e and t hold values that occur once.
sql(
	$node, q{
	CREATE TABLE rows AS
	SELECT i, (i * 7919 % 1000) * 0.001 < 0.2 + 0.1 * (i % 5) AS y, CASE WHEN i % 3 = 0 THEN 'b' ELSE 'a' END AS d,
		   (ARRAY['red', 'green', 'blue', '7', NULL])[1 + i % 5] AS c,
		   CASE WHEN i % 7 > 0 THEN (i % 13) * 1.5 + i % 3 END AS x,
		   CASE WHEN i % 6 > 0 THEN i % 11 - 4 END AS z,
		   CASE i % 8 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN ARRAY[NULL, 'p', 'q'] WHEN 3 THEN ARRAY['p', 'p', 'r']
			   ELSE ARRAY[(ARRAY['p', 'q', 'r', 's'])[1 + i % 4], (ARRAY['q', 's'])[1 + i % 2]] END AS t,
		   CASE WHEN i % 9 > 0 THEN ARRAY[i % 4, i % 5 - 2]::real[] END AS v,
		   CASE WHEN i % 10 > 0 THEN ARRAY[i % 4, i % 3, 1]::real[] END AS w,
		   CASE WHEN i % 4 > 0 THEN (i * 5 % 9)::real END AS g,
		   CASE WHEN i % 5 > 0 THEN 'u' || i % 17 END AS h
	FROM generate_series(1, 600) AS i;
});

# Categories: unknown is id 0, NULL id 1, and neither is the other.
train('(SELECT y, d, c, x FROM rows)', '{}');
$stored = Moemlora::Stored->new($node, 'm');
my %id = ids_of('c', 'red', 'green', 'blue', '7');

score_as(
	'every category, with a number beside it',
	map { (qq({"c": "$_", "x": 4.5}), { c => $id{$_}, x => 4.5 }) } keys %id);
score_as(
	'unknown categories have id 0',
	map { (qq({"c": $_, "x": 4.5}), { c => Moemlora::Stored::UNKNOWN, x => 4.5 }) }
	  '"pink"', '""', '" red"', '"Red"', '"NULL"', '"7.0"', '70', 'true', '12345678901234567890123');
score_as('NULL has id 1', map { ("{$_\"x\": 4.5}", { c => Moemlora::Stored::NULL, x => 4.5 }) } '', '"c": null, ');
all_differ('NULL is neither unknown nor known', '{"c": null}', '{"c": "pink"}', '{"c": "red"}');
is(join(' ', map { abs } map { @$_ } map { $stored->tensor("$_.c")->[0] } qw(embedding linear)), '0 0 0 0',
	'an unknown value adds nothing where training met none');
cmp_ok(largest_difference($stored->tensor('embedding.c')->[1], [ 0, 0, 0 ]), '>', 1e-3, 'NULL is learned');
train('(SELECT y, d, coalesce(c, \'none\') AS c FROM rows)', '{}');
$stored = Moemlora::Stored->new($node, 'm');
is(join(' ', map { abs } map { @$_ } map { $stored->tensor("$_.c")->[1] } qw(embedding linear)), '0 0 0 0',
	'NULL adds nothing where training met none');
all_alike('and scores as an unknown value then', '{"c": null}', '{"c": "pink"}');

# Domains: the same, but there is no NULL.
is(join(' ', map { abs } @{ $stored->tensor('embedding.domain')->[0] }), '0 0 0', 'an unknown domain adds nothing');
cmp_ok(
	largest_difference(
		[ map { scores($_, '{"c": "pink"}') } 'a', 'b', 'c', '' ],
		[ map { $stored->score($_, { c => 0 }) } 'a', 'b', 'c', '' ]),
	'<', ERROR, 'known and unknown domains');

# Numbers: standardised by the rows that have one; NULL is the mean.
train('(SELECT y, d, x, z, 7.5 AS k FROM rows)', '{"columns": {"x": {"transform": "log1p"}, "z": {"kind": "numeric"}}}');
$stored = Moemlora::Stored->new($node, 'm');
foreach my $f ([ 'x', 'ln(1 + x)' ], [ 'z', 'z' ])
{
	my ($name, $expression) = @$f;
	my ($mean, $std) = split /\|/,
	  $session->ask("SELECT avg(($expression)::float8), stddev_pop(($expression)::float8) FROM rows");

	cmp_ok(abs($stored->field($name)->{mean} - $mean), '<', 1e-12, "$name: mean over the rows with a value");
	cmp_ok(abs($stored->field($name)->{inverse_std} * $std - 1), '<', 1e-12, "$name: standard deviation");
}
score_as('numbers', map { (qq({"x": $_, "z": -$_}), { x => $_, z => -$_ }) } 0, 1, 2.5, 17, 1000);
score_as('NULL adds nothing', '{"x": 3}', { x => 3 }, '{"z": 2, "x": null}', { z => 2 });
my $mean = $stored->field('z')->{mean};
all_alike('NULL is the mean', '{"x": 3}', qq({"x": 3, "z": $mean}));
all_differ('and no other number', '{"x": 3}', '{"x": 3, "z": 0}', '{"x": 3, "z": -4}');
all_alike('a constant adds nothing, whatever comes later', '{"k": 7.5}', '{"k": 1e6}', '{"k": null}');
train('(SELECT y, d, x, z FROM rows)',
	'{"columns": {"x": {"standardize": false}, "z": {"transform": "log1p", "standardize": false}}}');
$stored = Moemlora::Stored->new($node, 'm');
is($stored->field($_)->{mean} . ' ' . $stored->field($_)->{inverse_std}, '0 1', "$_ is not standardised") foreach 'x', 'z';
score_as('numbers as they are', map { (qq({"x": $_, "z": -$_}), { x => $_, z => -$_ }) } 0, 1, 2.5, 17);
all_alike('NULL is 0 then', '{"x": 0, "z": 0}', '{"x": null, "z": 0}', '{"x": 0}', '{}');

# Arrays of categories: a mean, in which unknown elements and duplicates count, and NULL elements do not.
train('(SELECT y, d, t FROM rows)', '{}');
$stored = Moemlora::Stored->new($node, 'm');
my @items = ('p', 'q', 'r', 's');
my @item_scores = scores('a', map { qq({"t": ["$_"]}) } @items);
my %item;

foreach my $i (2 .. 5)
{
	my @those = grep { abs($item_scores[$_] - $stored->score('a', { t => [$i] })) < ERROR } 0 .. 3;

	$item{ $items[ $those[0] ] } = $i if @those == 1;
}
is(join(' ', sort keys %item), 'p q r s', 't: known elements have an id each');
score_as(
	'lists are means',
	'{"t": ["p", "q"]}' => { t => [ @item{qw(p q)} ] },
	'{"t": ["s", "r", "q"]}' => { t => [ @item{qw(q r s)} ] });
score_as('duplicates count', '{"t": ["p", "p", "q"]}' => { t => [ @item{qw(p p q)} ] });
score_as(
	'unknown elements count',
	'{"t": ["p", "new"]}' => { t => [ $item{p}, 0 ] },
	'{"t": ["new", 1, 2]}' => { t => [ 0, 0, 0 ] },
	'{"t": ["p", "new", "new"]}' => { t => [ $item{p}, 0, 0 ] });
score_as('no elements: nothing is added', '{"t": []}', {}, '{"t": null}', {}, '{"t": [null]}', {}, '{}', {});
all_alike('NULL elements are skipped', '{"t": ["p", "q"]}', '{"t": ["p", null, "q"]}', '{"t": [null, "q", "p", null]}');
all_differ('the others are not', map { qq({"t": $_}) } '["p"]', '["p", "new"]', '["p", "p", "q"]', '["p", "q"]', '[]');
is( $session->ask(q{
		SELECT bool_and(moemlora_predict('m', 'a', ROW(r)) = moemlora_predict('m', 'a', jsonb_build_object('t', r)))
		FROM (VALUES ('{p,q}'::text[]), ('{p,NULL,q}'), ('{NULL}'), ('{}'), (NULL), ('{p,p,new}')) AS v(r)}),
	't', 'arrays and jsonb are the same');

# Vectors: as they are or projected; NULL is all zeros.
train('(SELECT y, d, v, w FROM rows)', '{"columns": {"w": {"projection": false}}}');
$stored = Moemlora::Stored->new($node, 'm');
score_as(
	'vectors',
	'{"v": [1, -2], "w": [0.5, 0.25, 3]}', { v => [ 1, -2 ], w => [ 0.5, 0.25, 3 ] },
	'{"v": [1, -2]}', { v => [ 1, -2 ] }, '{"w": [1, 2, 3], "v": null}', { w => [ 1, 2, 3 ] }, '{}', {});
all_alike('NULL is zeros', '{}', '{"v": [0, 0], "w": [0, 0, 0]}', '{"v": null, "w": [0, 0, 0]}');
all_differ('and nothing else', '{}', '{"v": [1, 0]}', '{"w": [0, 1, 0]}');

# Buckets of numbers are categories; one that training never met is unknown.
train('(SELECT y, d, g FROM rows WHERE g IS NULL OR g <> 4)', '{"columns": {"g": {"buckets": [2, 3.5, 4.5, 6]}}}');
$stored = Moemlora::Stored->new($node, 'm');
is(scalar @{ $stored->tensor('embedding.g') }, 2 + 4, 'four of five buckets are met');
score_as('a bucket that is not met is unknown', map { (qq({"g": $_}), { g => 0 }) } 3.5, 4, 4.49);
score_as('NULL is in no bucket', '{"g": null}', { g => 1 }, '{}', { g => 1 });
all_alike('a boundary belongs to the bucket above', '{"g": 6}', '{"g": 7}', '{"g": 1e9}');
all_differ('buckets differ', '{"g": 1.99}', '{"g": 2}', '{"g": 4}', '{"g": 4.5}', '{"g": 6}', '{}');

# Hash buckets: no value is unknown, and so many ids there are.
train('(SELECT y, d, h FROM rows)', '{"columns": {"h": {"hash": 4}}, "min_count": 1000}');
$stored = Moemlora::Stored->new($node, 'm');
is(scalar @{ $stored->tensor('embedding.h') }, 2 + 4, 'four buckets');
my @by_bucket = map { $stored->score('a', { h => $_ }) } 2 .. 5;
my %met;

foreach my $score (scores('a', map { qq({"h": "any $_"}) } 1 .. 40), scores('a', map { qq({"h": "u$_"}) } 0 .. 16))
{
	my ($bucket) = grep { abs($by_bucket[$_] - $score) < ERROR } 0 .. 3;

	$met{ $bucket // 'none' }++;
}
is(join(' ', sort keys %met), '0 1 2 3', 'every value, seen or not, is in one of them');
score_as('NULL is in none', '{}', { h => 1 });

# The same in training: what the rows mean, not how they say it, makes the model.  One batch an epoch, so that the
# order of the rows changes nothing but roundings.
my @probes = (
	'{"c": "red", "t": ["p"], "x": 1, "v": [1, 1]}', '{"c": "blue", "t": ["q", "r"], "x": 9, "v": [0, 2]}',
	'{"c": null, "t": ["s"]}', '{}', '{"c": "new", "t": ["new"], "x": -5}',
	'{"c": "new", "t": ["p", "new"], "x": 20, "v": [3, -1]}');

# Scores of the probes, of both domains, after a training.
sub trained_scores
{
	my ($source, $options) = @_;

	train($source, $options);
	return [ map { scores($_, @probes) } 'a', 'b' ];
}

# The two trainings read from a query with %s in it, where each has its own expression.
sub difference_of_trainings
{
	my ($options, $source, $one, $other) = @_;

	return largest_difference(
		trained_scores(sprintf("($source)", $one), $options),
		trained_scores(sprintf("($source)", $other), $options));
}

sub same_training
{
	my ($what, @trainings) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(difference_of_trainings(@trainings), '<', 1e-4, "training: $what");
}

sub other_training
{
	my ($what, @trainings) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(difference_of_trainings(@trainings), '>', 1e-3, "training: $what");
}

my $t = 'SELECT y, d, c, %s AS t FROM rows';
my $with_one = q{CASE WHEN i % 8 > 3 THEN t || ('one' || i) ELSE t END};
my $with_two = q{CASE WHEN i % 8 > 3 THEN t || ('two' || i) ELSE t END};

same_training('a list that is NULL is an empty one', '{}', $t, 't', q{coalesce(t, '{}')});
same_training('or one of NULLs', '{}', $t, 't', 'coalesce(t, ARRAY[NULL, NULL])');
same_training('NULL elements are skipped', '{}', $t, 't', 'array_remove(t, NULL)');
other_training('duplicates count', '{}', $t, 't', q{CASE WHEN i % 8 = 3 THEN '{p,r}' ELSE t END});
same_training('rare elements are all unknown', '{"min_count": 2}', $t, $with_one, $with_two);
other_training('and they count', '{"min_count": 2}', $t, 't', $with_one);

my $c = 'SELECT y, d, t, %s AS c FROM rows';
my $rare = q{CASE WHEN i % 5 = 1 THEN 'one' || i / 10 ELSE c END};

same_training('rare categories are all unknown', '{"min_count": 3}', $c, q{CASE WHEN i % 5 = 1 THEN 'two' || i ELSE c END}, $rare);
all_alike('and score as one that was never seen', '{"c": "one5"}', '{"c": "two6"}', '{"c": "never seen"}');
other_training('unknown is not NULL', '{"min_count": 3}', $c, $rare, 'CASE WHEN i % 5 = 1 THEN NULL ELSE c END');

my $late = q{SELECT y, d, CASE WHEN i % 4 = 0 THEN 'valid' ELSE 'train' END AS s, CASE WHEN i % 4 = 0 THEN %s ELSE c END AS c FROM rows};

same_training('a value of validation rows alone is unknown', '{"split_column": "s"}', $late, q{'late'}, q{'later'});
all_alike('and scores so', '{"c": "later"}', '{"c": "never seen"}');

my $x = 'SELECT y, d, c, (%s)::float8 AS x FROM rows';
my $as_it_is = '{"columns": {"x": {"standardize": false}}}';
my ($average, $deviation) = split /\|/, $session->ask('SELECT avg(x::float8), stddev_pop(x::float8) FROM rows');
my $z = "(x - $average) / $deviation";

same_training('a number that is NULL is 0 where it is not standardised', $as_it_is, $x, 'x', 'coalesce(x, 0)');
other_training('but no other number', $as_it_is, $x, 'x', 'coalesce(x, 5)');
same_training('standardised, it is the mean', $as_it_is, $x, $z, "coalesce($z, 0)");
my @without_x = grep { !/"x"/ } @probes;
train(sprintf("($x)", 'x'), '{}');
my @standardised = map { scores($_, @without_x) } 'a', 'b';
train(sprintf("($x)", $z), $as_it_is);
cmp_ok(largest_difference(\@standardised, [ map { scores($_, @without_x) } 'a', 'b' ]),
	'<', 1e-4, 'training: standardising is what it says');

my $v = 'SELECT y, d, c, %s AS v FROM rows';

same_training('a vector that is NULL is zeros', '{}', $v, 'v', q{coalesce(v, '{0,0}')});
other_training('and nothing else', '{}', $v, 'v', q{coalesce(v, '{1,1}')});

# Rows without label or domain are left out, as if they were not there, and said.
my %left_out = (
	'CASE WHEN i > 3 THEN y END AS y, CASE WHEN i < 598 THEN d END AS d' => '6 rows were left out because label or domain is NULL',
	'CASE WHEN i > 1 THEN y END AS y, d' => '1 row was left out because its label or domain is NULL');

foreach my $columns (sort keys %left_out)
{
	like(
		sql($node, qq{SELECT count(*) FROM moemlora_train('m', '(SELECT $columns, c FROM rows)', 'y', 'd', NULL,
				'{"epochs": 1, "hidden": [4], "method": "backbone"}')}, notices => 1),
		qr/NOTICE:  00000: $left_out{$columns}$/m, $left_out{$columns});
}
same_training('as if they were not there', '{}', 'SELECT %s, t FROM rows',
	'CASE WHEN i % 7 > 0 THEN y END AS y, CASE WHEN i % 5 > 0 THEN d END AS d, c',
	'CASE WHEN i % 7 > 0 AND i % 5 > 0 THEN y END AS y, d, c');

# A cast to real[] is the business of who may use it.
sql(
	$node, q{
	CREATE TYPE spot AS (x real, y real);
	CREATE FUNCTION spot_to_real(spot) RETURNS real[] LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ARRAY[$1.x, $1.y]';
	CREATE CAST (spot AS real[]) WITH FUNCTION spot_to_real(spot);
	CREATE TABLE spots AS SELECT ROW(i, i % 3)::spot AS v, y, d FROM rows;
	CREATE ROLE alice LOGIN;
	GRANT SELECT ON spots TO alice;
	REVOKE EXECUTE ON FUNCTION spot_to_real FROM PUBLIC;
});
my $of_spots = q{SELECT count(*) FROM moemlora_train('of spots', 'spots', 'y', 'd', NULL,
	'{"epochs": 1, "hidden": [4], "method": "backbone"}')};

refuses($node, $of_spots, '42501', qr/permission denied for the cast of column "v" from spot to real\[\]/,
	'a cast that one may not use', user => 'alice');
sql($node, 'GRANT EXECUTE ON FUNCTION spot_to_real TO alice');
is(sql($node, $of_spots, user => 'alice'), '1', 'with the right to it');

$session->close;
finish($node);
