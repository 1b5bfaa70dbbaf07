# What moemlora_importance(), moemlora_drift() and moemlora_gates() say of planted
# truths; that it does not depend on plans and workers; and what stops them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;
use Time::HiRes 'time';

my $node = new_server('analyse', settings => 'max_worker_processes = 8');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS SELECT *, hashint4(id) % 50 AS nothing FROM clicks(40000, 3, 0.5, 1);
	CREATE TABLE later AS SELECT *, hashint4(id) % 50 AS nothing FROM clicks(40000, 3, 0.5, 1) WHERE id % 2 = 0;
	ALTER TABLE shown SET (parallel_workers = 2);
	ANALYZE;
});

sub training
{
	my ($options) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id', 'item_id', 'price', 'nothing'],
		'{"epochs": 4, "hidden": [16, 8], "embedding_dim": 4, "recipe": "gated", "gate": "input", "serve": "gate", "learning_rate": 0.003}'::jsonb
		|| '$options')};
}

# What is stored of training does not depend on who takes part.
my %bytes;
foreach my $workers (0 .. 2)
{
	sql($node, training(qq{{"workers": $workers}}));
	$bytes{ sql($node, q{SELECT md5(moemlora_export('m'))}) } = 1;
}
is(scalar keys %bytes, 1, 'workers do not change what is kept of rows and gates');

# Importance.
my %importance = map { split /=/ } split /\n/,
	sql($node, q{SELECT feature || coalesce(' in ' || domain, '') || '=' || importance FROM moemlora_importance('m', 'shown', 'clicked', 'place')});
cmp_ok($importance{'item_id'}, '>', 0.05, 'items decide');
cmp_ok($importance{'item_id in place 1'}, '>', 0.05, 'where they do');
cmp_ok(abs $importance{'item_id in noise'}, '<', 0.05, 'and not where all is noise');
cmp_ok($importance{'user_id'}, '>', 0.02, 'users matter');
cmp_ok(abs $importance{'nothing'}, '<', 0.01, 'what means nothing does not');

my $rows = q{SELECT string_agg(i::text, ' ') FROM moemlora_importance('m', '%s', 'clicked', 'place', 3000) AS i};
my $serial = sql($node, 'SET max_parallel_workers_per_gather = 0; ' . sprintf($rows, 'shown'));
my $parallel = sql($node, 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; '
	  . sprintf($rows, 'shown'));
is($parallel, $serial, 'a parallel plan samples the same rows');
is(sql($node, sprintf($rows, '(SELECT * FROM shown ORDER BY hashint4(id))')), $serial, 'and so does another order');

# Drift.
my $verdicts = q{SELECT coalesce(domain, '') || ' ' || coalesce(feature, '') || ' ' || verdict
	FROM moemlora_drift('m', '%s', 'place') WHERE verdict <> 'fine' ORDER BY 1};
is(sql($node, sprintf($verdicts, 'later')), '', 'other rows of the same kind are fine');
is( sql($node, sprintf($verdicts, q{(SELECT id, user_id, item_id, CASE place WHEN ''place 1'' THEN price + 2 ELSE price END AS price, nothing, place FROM later)})),
	join("\n", '  retrain', ' price retrain', 'place 1  retrain', 'place 1 price retrain'),
	'a feature that has moved in one place is found there, and over all');
is( sql($node, q{SELECT feature, unknown, verdict FROM moemlora_drift('m',
		'(SELECT user_id, CASE WHEN id % 4 = 0 THEN 1000 + item_id ELSE item_id END AS item_id, price, nothing, place FROM later)', 'place')
		WHERE domain IS NULL AND feature = 'item_id'}),
	'item_id|0.5|retrain', 'new items are');

# The gate weighs the experts as it does in a mean row.
is( sql($node, q{SELECT count(*), bool_and(abs(sum - 1) < 1e-4), bool_and(spread) FROM
		(SELECT sum(weight), bool_and(spread BETWEEN 0 AND 0.5) AS spread FROM moemlora_gates('m') GROUP BY domain) AS g}),
	'3|t|t', 'gates of every place');

# Memory: counted before it is taken.
refuses($node, q{SET moemlora.training_memory = '1MB'; SELECT count(*) FROM moemlora_importance('m', 'shown', 'clicked', 'place')},
	'54000', qr/memory/, 'too little memory for a sample');
is( sql($node, q{SET moemlora.training_memory = '1MB'; SELECT count(*) > 0 FROM moemlora_importance('m', 'shown', 'clicked', 'place', 1000)}),
	't', 'a smaller one has room');
is( sql($node, q{SET moemlora.training_memory = '1MB'; SELECT rows FROM moemlora_drift('m',
		'(SELECT s.* FROM shown AS s, generate_series(1, 5))', 'place') WHERE feature IS NULL AND domain IS NULL}),
	'200000', 'drift takes none for more rows');

refuses($node, q{SET moemlora.training_memory = '8MB'; SELECT count(*) FROM moemlora_importance('m',
		'(SELECT s.*, repeat(''x'', 100000) || user_id AS long_place FROM shown AS s)', 'clicked', 'long_place', 1000)},
	'54000', qr/not enough memory allowed/, 'names of domains count, too');

# A cancel, while rows are read and while they are scored again and again.
my $session = Moemlora::Session->new($node);
foreach my $case (
	[ 'importance', q{SELECT count(*) FROM moemlora_importance('m', '(SELECT s.* FROM shown AS s, generate_series(1, 8))', 'clicked', 'place', 300000)}, 70 ],
	[ 'drift', q{SELECT count(*) FROM moemlora_drift('m', '(SELECT s.* FROM shown AS s, generate_series(1, 100))', 'place')}, 40 ])
{
	my ($name, $query, $step) = @$case;
	my @late;

	foreach my $i (1 .. 9)
	{
		my $timeout = 20 + $step * $i;
		my $started = time;

		$session->ask("SET statement_timeout = $timeout; $query");
		push @late, 1000 * (time - $started) - $timeout if $session->errors =~ /57014/;
	}
	@late = sort { $a <=> $b } @late;
	note("$name: milliseconds late: @late");
	cmp_ok($late[ @late / 2 ] // 1000, '<', 100, "$name is cancelled at once");
	cmp_ok(scalar @late, '>=', 7, "$name was at work");
}
$session->close;

finish($node);
