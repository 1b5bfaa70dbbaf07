# Which version a statement uses: the one its snapshot sees, from its first row
# to its last, whatever other sessions do meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('snapshots');

make_rows($node, 2000);

sub train
{
	my ($model, $seed) = @_;

	return qq{SELECT count(*) FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 2, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own", "seed": $seed}')};
}

my $predict = q{SELECT moemlora_predict('m', 'place 1', '{"user_id": 7}')};
my $scores = q{SELECT string_agg(moemlora_predict('m', place, s)::text, ' ' ORDER BY id)
	FROM (SELECT * FROM shown LIMIT 100) AS s};
my $main = Moemlora::Session->new($node);
my $other = Moemlora::Session->new($node);

$main->ask(train('m', 1));
my $first = $other->ask($predict);

# A session that has used a model sees the next version at once.
$main->ask(train('m', 2));
my $second = $other->ask($predict);
isnt($second, $first, 'the next statement of another session uses the new version');

# Prepared statements, custom and generic.
foreach my $mode ('force_custom_plan', 'force_generic_plan')
{
	my $seed = $mode eq 'force_custom_plan' ? 10 : 20;

	$other->ask(qq{SET plan_cache_mode = $mode;
		PREPARE score(text) AS SELECT moemlora_predict('m', \$1, '{"user_id": 7}'::jsonb)});
	my @seen = map { $main->ask(train('m', $seed + $_)); $other->ask(q{EXECUTE score('place 1')}) } 1 .. 3;

	is(scalar(keys %{ { map { $_ => 1 } @seen } }), 3, "$mode: each execution uses the version of its time");
	is($seen[-1], $other->ask($predict), "$mode: the last one as well");
	$other->ask('DEALLOCATE score');
}

# A loop in PL/pgSQL, whose calls are kept over its statements: one prediction after each training elsewhere.
$other->ask(q{
	CREATE PROCEDURE watch(n int) LANGUAGE plpgsql AS $$
	DECLARE
		seen real[] := '{}';
	BEGIN
		FOR i IN 1 .. n LOOP
			PERFORM pg_advisory_lock(i);
			seen := seen || moemlora_predict('m', 'place 1', '{"user_id": 7}');
		END LOOP;
		RAISE WARNING 'seen %', (SELECT string_agg(s::text, ' ' ORDER BY i) FROM unnest(seen) WITH ORDINALITY AS u(s, i));
		PERFORM pg_advisory_unlock_all();
	END $$});
my @expected;

$main->ask('SELECT pg_advisory_lock(i) FROM generate_series(1, 3) AS i');
$other->send('CALL watch(3)');
foreach my $i (1 .. 3)
{
	$main->ask(train('m', 30 + $i));
	push @expected, $main->ask($predict);
	$main->ask("SELECT pg_advisory_unlock($i)");

	# Not before the loop has looked may the next training commit: it looks once it has the lock, and then wants the next.
	$main->ask_until_true(
		$i < 3
		? "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $i + 1"
		: "SELECT state <> 'active' FROM pg_stat_activity WHERE pid = " . $other->pid)
	  or die 'the loop does not go on';
}
$other->wait;
like($other->errors, qr/seen @expected$/m,
	'a loop in PL/pgSQL sees each version that is committed between its statements');

# A loop that trains itself sees its own versions.
my $warning = $other->errors(q{DO $$
	DECLARE
		seen real[] := '{}';
	BEGIN
		FOR i IN 1 .. 4 LOOP
			PERFORM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id'],
				jsonb_build_object('epochs', 1, 'hidden', '[8]'::jsonb, 'method', 'backbone', 'seed', i));
			seen := seen || moemlora_predict('m', 'place 1', '{"user_id": 7}');
			IF i % 2 = 0 THEN COMMIT; END IF;
		END LOOP;
		RAISE WARNING '% versions', (SELECT count(DISTINCT s) FROM unnest(seen) AS s);
	END $$});
like($warning, qr/WARNING:  01000: 4 versions/,
	'a loop sees the versions it trains, over commits and within a transaction');

# Transactions: READ COMMITTED goes with the time, REPEATABLE READ stays.
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$other->ask("BEGIN ISOLATION LEVEL $level");
	my $before = $other->ask($scores);

	$main->ask(train('m', 40 + length $level));
	my $after = $other->ask($scores);
	my $new = $main->ask($scores);

	is($after, $level eq 'READ COMMITTED' ? $new : $before, "$level, after a training elsewhere");
	isnt($before, $new, "(which made another model)");
	$main->ask(q{SELECT moemlora_drop('m')});
	if ($level eq 'READ COMMITTED')
	{
		like($other->errors($scores), qr/ERROR:  42704: model "m" does not exist/, "$level, after a drop elsewhere");
	}
	else
	{
		is($other->ask($scores), $before, "$level, after a drop elsewhere");
	}
	$other->ask('ROLLBACK');
	$main->ask(train('m', 50));
}

# A transaction that keeps its snapshot cannot train over a version that it does not see, and says so before it reads.
$other->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . $predict);
$main->ask(train('m', 51));
$warning = $other->errors(q{SELECT * FROM moemlora_train('m', '(SELECT *, 1 / 0 FROM shown)', 'clicked', 'place')});
like($warning, qr/ERROR:  40001: could not serialize access to model "m"/,
	'REPEATABLE READ cannot train over a newer version');
$other->ask('ROLLBACK');

# A cursor goes on with its version: over trainings, a drop, a vacuum, and a cache too small for two models.
$main->ask(train('n', 60));
my $both = q{SELECT id, moemlora_predict('m', place, s) AS m, moemlora_predict('n', place, s) AS n
	FROM shown s ORDER BY id};
my $before = $main->ask("SELECT string_agg(id || ' ' || m || ' ' || n, ',' ORDER BY id) FROM ($both) AS t");

$other->ask("SET moemlora.cache_size = '64kB'; BEGIN; DECLARE c CURSOR FOR $both");
my @rows = split /\n/, $other->ask('FETCH 1000 FROM c');

$main->ask(train('m', 61));
push @rows, split /\n/, $other->ask('FETCH 500 FROM c');
$main->ask(q{SELECT moemlora_drop('m'), moemlora_drop('n')});
$main->ask("VACUUM moemlora.$_") foreach qw(model version component);
push @rows, split /\n/, $other->ask('FETCH ALL FROM c');
$other->ask('COMMIT');
is(join(',', map { tr/|/ /r } @rows), $before, 'a cursor is not disturbed');

# All rows of one statement are of one version, though a training commits while it runs.
$main->ask(train('m', 70));
$before = $main->ask($scores);
$main->ask('SELECT pg_advisory_lock(9)');
$other->send(q{SELECT string_agg(moemlora_predict('m', place, s)::text, ' ' ORDER BY id)
	FROM (SELECT *, CASE id WHEN 50 THEN pg_advisory_lock_shared(9)::text END FROM shown LIMIT 100) AS s});
ok($main->ask_until_true(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}),
	'a statement waits in its middle');
$main->ask(train('m', 71));
$main->ask('SELECT pg_advisory_unlock(9)');
is(scalar($other->wait), $before, 'and finishes with the version it began with');

$_->close foreach $main, $other;
finish($node);
