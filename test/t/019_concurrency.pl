# Several sessions at once: one training of a model at a time, any number of
# different models, and everybody scores meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('concurrency');

sql($node, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');
make_rows($node, 2000);

sub train
{
	my ($model, $options, $source) = @_;

	$options //= '{}';
	$source //= 'shown';
	return qq{SELECT count(*) FROM moemlora_train('$model', \$source\$$source\$source\$, 'clicked', 'place',
		ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own"}'::jsonb || '$options')};
}

my $endless = '{"epochs": 100000, "patience": 100000}';
my $predict = q{SELECT moemlora_predict('m', 'place 1', '{"user_id": 7}')};
my $busy = qr/ERROR:  55P03: model "m" is being trained or changed by another session\n.*HINT/s;
my $first = Moemlora::Session->new($node, user => 'alice');
my $second = Moemlora::Session->new($node, user => 'alice');
my $observer = Moemlora::Session->new($node);
my $is_running = 'SELECT count(*) = 1 FROM moemlora.progress WHERE step > 0 AND pid = ' . $first->pid;

sub stop
{
	my ($session) = @_;

	$observer->ask('SELECT pg_cancel_backend(' . $session->pid . ')');
	$session->wait;
	like($session->errors, qr/ERROR:  57014/, 'it had been running');
	return;
}

# A model that is there, and one that is only coming to be.
foreach my $case ([ 'a new model', undef ], [ 'an old model', train('m') ])
{
	my ($what, $before) = @$case;

	$second->ask($before) if defined $before;
	$first->send(train('m', $endless));
	ok($observer->ask_until_true($is_running), "$what: a training runs");
	like($second->errors(train('m')), $busy, "$what: a second one fails");
	like($second->errors(train('m', '{}', '(SELECT *, pg_sleep(60) FROM shown)')), $busy, "$what: before it reads");
	like($second->errors(q{SELECT moemlora_drop('m')}), defined $before ? $busy : qr/ERROR:  (?:55P03|42704)/,
		"$what: so does a drop");
	ok($first->is_busy, "$what: the first does not notice");
	is($second->ask(train('n')), '1', "$what: another model can be trained");
	stop($first);
	is($second->ask(train('m')), '1', "$what: after the first has stopped the second may");
	$second->ask(q{SELECT moemlora_drop('m'), moemlora_drop('n')});
}

# Until its end the transaction keeps the model.
$first->ask(train('m'));
$first->ask('BEGIN; ' . train('m'));
like($second->errors(train('m')), $busy, 'trained but not committed: a second training fails');
like($second->errors(q{SELECT moemlora_drop('m')}), $busy, 'and a drop');
is($first->ask(train('m')), '1', 'the transaction itself may train again');
$first->ask('COMMIT');
is($second->ask(train('m')), '1', 'after the commit the second may');
is($second->ask(q{SELECT string_agg(version::text, ' ') FROM moemlora.versions WHERE model = 'm'}), '1 2 3 4',
	'no number is given twice');
$first->ask('BEGIN; ' . train('m') . '; ROLLBACK');
is($second->ask(train('m')), '1', 'and after a rollback');
$first->ask('BEGIN; SAVEPOINT a; ' . train('m') . '; ROLLBACK TO a');
is($second->ask(train('m')), '1', 'and after a rollback to a savepoint');
$first->ask('ROLLBACK');
$first->ask('BEGIN; SELECT moemlora_drop(\'m\')');
like($second->errors(train('m')), $busy, 'a drop that is not committed keeps it too');
$first->ask('ROLLBACK');

# While a training runs, and when it has ended in a transaction, others score with the version before.
my $before = $second->ask($predict);
$first->send('BEGIN; ' . train('m', '{"seed": 7, "epochs": 300, "patience": 300}'));
ok($observer->ask_until_true($is_running), 'a training runs');
is($second->ask($predict), $before, 'others score with the version before');
is($first->wait, '1', 'the training ends');
isnt($first->ask($predict), $before, 'its transaction sees the new version');
is($second->ask($predict), $before, 'others do not');
$first->ask('COMMIT');
isnt($second->ask($predict), $before, 'until it is committed');

# Nobody can keep a model of others by asking for it.
my $bob = Moemlora::Session->new($node, user => 'bob');
$bob->ask('BEGIN');
like($bob->errors(train('m')), qr/ERROR:  42501: permission denied for model "m"/, 'a stranger is refused');
is($second->ask(train('m')), '1', 'and keeps nothing');
$bob->ask('ROLLBACK');
$first->send(train('m', $endless));
ok($observer->ask_until_true($is_running), 'a training runs');
like($bob->errors(train('m')), qr/ERROR:  42501: permission denied for model "m"/,
	'a stranger does not even learn that');
stop($first);

# Nor with the advisory locks that everybody may take.
$bob->ask(q{SELECT count(*) FROM pg_locks, pg_advisory_lock(1), pg_advisory_lock(1, 1)});
$first->send(train('m', $endless));
ok($observer->ask_until_true($is_running), 'a training runs');
my ($high, $low) =
  split /\|/, $observer->ask(q{SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3});
stop($first);
is( $bob->errors(qq{
		SELECT pg_advisory_lock(($high\::bigint << 32) | $low\::bigint),
			   pg_advisory_lock(('x' || lpad(to_hex($high), 8, '0'))::bit(32)::int,
								('x' || lpad(to_hex($low), 8, '0'))::bit(32)::int)}),
	'', 'advisory locks of the same numbers');
is($second->ask(train('m')), '1', 'are other locks');

# Two sessions make the same new model: one transaction waits for nobody, and one wins.
$first->ask('BEGIN; ' . train('of both'));
like($bob->errors(train('of both')), qr/ERROR:  55P03/, 'a name that another session is about to give');
$first->ask('COMMIT');
like($bob->errors(train('of both')), qr/ERROR:  42501/, 'and has given');

# A training in the source of another: each has its model and its progress.
sql(
	$node, q{
	CREATE FUNCTION rows_after(statement text) RETURNS SETOF shown LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE statement;
		RETURN QUERY SELECT * FROM shown;
	END $$});
sub rows_after
{
	my ($statement) = @_;

	return "rows_after(\$statement\$@{[$statement =~ s/\$source\$/\$inner\$/gr]}\$statement\$)";
}

is($second->ask(train('outside', '{}', rows_after(train('inside')))), '1', 'a training in the source of another');
is($second->ask(train('outside', '{}', rows_after(train('outside')))), '1', 'even of the same model');
is( $second->ask(q{
		SELECT string_agg(name || ' ' || current_version, ', ' ORDER BY name) FROM moemlora.models WHERE name LIKE '%side'}),
	'inside 1, outside 3', 'all are stored');
$second->ask(train('outside', '{}', rows_after(q{SELECT moemlora_drop('outside')})));
is($second->ask(q{SELECT current_version FROM moemlora.models WHERE name = 'outside'}), '1',
	'a model that its source drops is a new one');

# Many at once: as many trainings of different models as sessions, scoring all the time.
my @sessions = map { Moemlora::Session->new($node, user => 'alice') } 1 .. 6;
$sessions[$_]->send(
	join '; ', (train("many $_", '{"epochs": 5}'), train("many $_", '{"epochs": 5, "seed": 2}')) x 2)
  foreach 0 .. 3;
$sessions[$_]->send(join '; ', (q{SELECT count(moemlora_predict('m', place, s)) FROM shown s}) x 20) foreach 4, 5;
is($sessions[$_]->wait . $sessions[$_]->errors, join("\n", (1) x 4), "session $_ of many trains") foreach 0 .. 3;
is($sessions[$_]->wait . $sessions[$_]->errors, join("\n", (2000) x 20), "session $_ of many scores") foreach 4, 5;
is($second->ask(q{SELECT string_agg(current_version::text, ' ') FROM moemlora.models WHERE name LIKE 'many %'}),
	'4 4 4 4', 'all is stored');

$_->close foreach $first, $second, $observer, $bob, @sessions;
finish($node);
