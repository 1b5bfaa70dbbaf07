# What moemlora.progress shows, to whom, and what is left of it afterwards.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('progress', settings => "compute_query_id = on\n");

sql(
	$node, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE friend LOGIN IN ROLE alice;
	CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
	CREATE TABLE shown AS
	SELECT i % 50 AS user_id, i % 2 AS place, i % 3 = 0 AS clicked FROM generate_series(1, 4000) AS i;
	GRANT SELECT ON shown TO PUBLIC;
});

# Runs until it is cancelled.
sub endless
{
	my ($name, $source, $options) = @_;

	$options //= '{}';
	return qq{SELECT count(*) FROM moemlora_train(\$n\$$name\$n\$, '$source', 'clicked', 'place', NULL,
		'{"epochs": 100000, "patience": 100000, "hidden": [8], "batch_size": 64}'::jsonb || '$options')};
}

sub cancel
{
	my ($session) = @_;

	sql($node, 'SELECT pg_cancel_backend(' . $session->pid . ')');
	$session->wait;
	like($session->errors, qr/ERROR:  57014/, 'the training was still running');
	return;
}

my $observer = Moemlora::Session->new($node);
my $training = Moemlora::Session->new($node, user => 'alice');
my $mine = 'FROM moemlora.progress WHERE pid = ' . $training->pid;

# Reading.
$training->send(endless('slow', '(SELECT *, pg_sleep(60)::text AS nap FROM shown)'));
ok($observer->ask_until_true("SELECT count(*) = 1 $mine"), 'a training shows up while it reads');
is( sql($node, "SELECT model, phase, step, steps, fraction, rows_per_second $mine"),
	'slow|reading|0|0|0|0', 'and says that it reads');
is(sql($node, "SELECT started BETWEEN now() - interval '1 min' AND now() $mine"), 't', 'and when it began');
cancel($training);
is(sql($node, "SELECT count(*) $mine"), '0', 'after the cancel it is gone');

# Training: figures that make sense and move on.
$training->send(endless('m', 'shown', '{"recipe": "paper"}'));
ok($observer->ask_until_true("SELECT count(*) = 1 $mine AND phase = 'backbone' AND step > 0"), 'phase and step');
my $sense = 'model = \'m\' AND step BETWEEN 0 AND steps AND fraction BETWEEN 0 AND 1 AND rows_per_second > 0'
  . ' AND started <= clock_timestamp()';
my ($first_sense, $first_step, $steps, $first_fraction) =
  split /\|/, sql($node, "SELECT $sense, step, steps, fraction $mine");

is($first_sense, 't', 'the figures make sense');
cmp_ok($steps, '>=', 100000 * 3000 / 64, 'steps are those of all epochs');
ok($observer->ask_until_true("SELECT count(*) = 1 $mine AND step > $first_step AND $sense"), 'the step moves on');
ok($observer->ask_until_true("SELECT count(*) = 1 $mine AND fraction > $first_fraction AND $sense"),
	'and the fraction');

# To whom.
my %sees = (alice => 1, friend => 1, monitor => 1, bob => 0);

is(sql($node, "SELECT count(*) $mine", user => $_), $sees{$_},
	"what $_ sees of alice's training") foreach sort keys %sees;
sql($node, 'CREATE DATABASE other');
sql($node, 'CREATE EXTENSION moemlora', db => 'other');
is(sql($node, 'SELECT count(*) FROM moemlora.progress', db => 'other'), '0', 'another database does not see it');

# The statement itself still stands behind the comment, with its identifier.
is( sql(
		$node, 'SELECT query LIKE \'/* moemlora: %*/ SELECT count(*) FROM moemlora_train(%\', query_id IS NOT NULL'
		  . ' FROM pg_stat_activity WHERE pid = ' . $training->pid),
	't|t', 'pg_stat_activity shows comment, statement and query identifier');
cancel($training);
is( sql(
		$node, 'SELECT state, query LIKE \'SELECT count(*) FROM moemlora_train(%\' FROM pg_stat_activity WHERE pid = '
		  . $training->pid),
	'idle|t', 'after the cancel the statement stands there alone');

# A statement that goes on after a training, well or not, shows itself as before.
foreach my $case (
	[ 'a training', 'shown', '{"epochs": 1}', 'count' ],
	[ 'an error', '(SELECT *, 1 / (user_id - 7) FROM shown)', '{}', 'division_by_zero' ])
{
	my ($what, $source, $options, $outcome) = @$case;
	my $query = endless('m', $source, $options);

	$training->send(
		qq{DO \$do\$
		DECLARE
			mine CONSTANT text := 'SELECT (query, query_id, state) FROM pg_stat_activity WHERE pid = pg_backend_pid()';
			before record;
			now record;
		BEGIN
			EXECUTE mine INTO before;
			BEGIN
				PERFORM n FROM ($query) AS t(n);
			EXCEPTION WHEN division_by_zero THEN NULL;
			END;
			PERFORM pg_stat_clear_snapshot();
			EXECUTE mine INTO now;
			RAISE WARNING 'same: %', before IS NOT DISTINCT FROM now AND before IS NOT NULL;
		END \$do\$});
	$training->wait;
	like($training->errors, qr/same: t/, "activity and identifier after $what in a longer statement");
}

# Names that could end the comment, or look like part of it.
foreach my $name ('x" */ SELECT 1', '%22%', 'a"b*c%d', "two\nlines", 'Ünïcode 点击 phase=gate', 'x' x 255, '%' x 255)
{
	$training->send(endless($name, 'shown'));
	$observer->ask_until_true("SELECT count(*) = 1 $mine AND step > 0") or fail("no progress of $name");
	is(sql($node, "SELECT model = \$n\$$name\$n\$ $mine"), 't', 'name ' . substr($name =~ s/\n/\\n/r, 0, 25));
	cancel($training);
}

# Anybody may write such a comment: what does not fit is not shown, and nothing breaks the view.
my $liar = Moemlora::Session->new($node, user => 'bob');
my $real = 'model="m" phase=gate step=1 steps=2 fraction=0.5000 rows_per_second=3 started=4.000';

is($liar->ask("/* moemlora: $real */ SELECT phase || step || fraction FROM moemlora.progress"), 'gate10.5',
	'a comment like ours is believed');
foreach my $lie (
	[ 'step=1', 'step=99999999999999999999' ], [ 'step=1', 'step=-1' ], [ 'step=1', 'step=' ],
	[ 'fraction=0.5000', 'fraction=NaN' ], [ 'fraction=0.5000', 'fraction=0.5' ],
	[ 'started=4.000', 'started=99999999999.000' ], [ 'started=4.000', 'started=now' ],
	[ 'phase=gate', 'phase=GATE' ], [ 'model="m"', 'model=""' ])
{
	my ($part, $instead) = @$lie;
	my $fake = $real =~ s/\Q$part\E/$instead/r;
	my $out = $liar->ask("/* moemlora: $fake */ SELECT count(*) FROM moemlora.progress");

	is($out . $liar->errors, '0', "a comment with $instead is not");
}
$liar->close;

# Where the server does not track activities there is nothing to see, and nothing goes wrong.
my $untracked = Moemlora::Session->new($node);

$untracked->ask('SET track_activities = off');
is($untracked->ask(endless('untracked', 'shown', '{"epochs": 1, "method": "backbone"}')), '1',
	'without track_activities');
is($untracked->ask('SELECT count(*) FROM moemlora.progress'), '0', 'there is no progress');
$untracked->close;

# A NOTICE for each epoch.
my $notices = sql($node, endless('m', 'shown', '{"recipe": "paper", "epochs": 2}'), notices => 1);
my $figures = qr/(?:, train logloss \d\.\d{4})?, valid logloss \d\.\d{4}, AUC \d\.\d{4}(?: \(best\))?(?:, learning rate \/ (?:5|25))?/;

is(scalar(() = $notices =~ /NOTICE:  00000: phase backbone, epoch 0\/2$figures$/mg), 1,
	'a NOTICE before the first epoch');
is(scalar(() = $notices =~ /NOTICE:  00000: phase backbone, epoch [12]\/2, [\d,]+ rows\/s$figures$/mg), 2,
	'and one for each');
is(scalar(() = $notices =~ /NOTICE:  00000: phase experts 2\/2 \(1\), epoch [12]\/2, [\d,]+ rows\/s$figures$/mg),
	2, 'and for each of an expert, with its domain');

$training->close;
$observer->close;
finish($node);
