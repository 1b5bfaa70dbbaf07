# Promotions, drops and renamings beside running statements, trainings and each
# other: a statement finishes with its version, changes wait for each other, and
# only what would pull a model from under a training has to wait for its end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('registry_concurrency');

sql($node, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT bob TO alice');
make_rows($node, 2000);

my $alice = Moemlora::Session->new($node, user => 'alice');
my $other = Moemlora::Session->new($node, user => 'alice');
my $bob = Moemlora::Session->new($node, user => 'bob');
my $gate = Moemlora::Session->new($node);
my $seed = 0;

# A training waits at row 50 of its source while the gate is closed.
my $gated_rows = '(SELECT *, CASE id WHEN 50 THEN pg_advisory_xact_lock_shared(9)::text END AS wait FROM shown)';

sub train
{
	my ($model, $options, $source) = @_;

	$seed++;
	$options //= '{}';
	$source //= 'shown';
	return qq{SELECT max(version) FROM moemlora_train('$model', \$s\$$source\$s\$, 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own", "seed": $seed}'::jsonb
		|| '$options')};
}

# A new model m with so many versions, all different.
sub make_versions
{
	my ($n) = @_;

	$alice->ask(q{SELECT moemlora_drop(name) FROM moemlora.models});
	$alice->ask(train('m')) foreach 1 .. $n;
	die $alice->errors if $alice->errors ne '';
	return;
}

sub scores
{
	my ($model) = @_;

	return qq{SELECT string_agg(moemlora_predict('$model', place, s)::text, ' ' ORDER BY id)
		FROM (SELECT * FROM shown LIMIT 100) AS s};
}

sub close_gate
{
	return $gate->ask('SELECT pg_advisory_lock(9)');
}

sub open_gate
{
	return $gate->ask('SELECT pg_advisory_unlock(9)');
}

# Waits until a session waits: at the gate (class 1), for a training (3) or for a change (4).
sub waits
{
	my ($session, $class) = @_;

	return $gate->ask_until_true(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}
		  . " AND pid = ${\$session->pid} AND objsubid = $class");
}

my $state = q{SELECT current_version || ' after ' || array_to_string(earlier_versions, ' ') FROM moemlora.model
	WHERE name = 'm'};

sub state_is
{
	my ($expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($gate->ask($state), $expected, $name);
}

# --------------------------------------------- beside a statement that scores

# Two models and a cache with room for one: the version is read again and again, after it has gone too.
$alice->ask(train('m'));
sql($node, q{ALTER ROLE bob SET moemlora.cache_size = '64kB'});
my $small = Moemlora::Session->new($node, user => 'bob');
my $predict_gated = q{
	SELECT string_agg(moemlora_predict('m', place, s)::text || moemlora_predict('n', place, s), ' ' ORDER BY id)
	FROM (SELECT *, CASE id WHEN 50 THEN pg_advisory_xact_lock_shared(9)::text END FROM shown LIMIT 100) AS s};
my $gone = qr/ERROR:  42704: model "m" does not exist/;
my $denied = qr/ERROR:  42501: permission denied for model "m"/;

foreach my $case (
	[ 'train', train('m') ],
	[ 'promote', q{SELECT moemlora_promote('m', 1)} ],
	[ 'rollback', q{SELECT moemlora_rollback('m')} ],
	[ 'drop of its version', q{SELECT moemlora_promote('m', 1); SELECT moemlora_drop_version('m', 3)} ],
	[ 'prune of its version', q{SELECT moemlora_promote('m', 1); SELECT moemlora_prune('m', 0)} ],
	[ 'rename', q{SELECT moemlora_rename('m', 'renamed')}, $gone ],
	[ 'another model of its name', q{SELECT moemlora_rename('m', 'x'); SELECT moemlora_rename('n', 'm');
		SELECT moemlora_rename('x', 'n')} ],
	[ 'drop', q{SELECT moemlora_drop('m')}, $gone ],
	[ 'revoke', q{SELECT moemlora_revoke('m', 'bob')}, $denied ])
{
	my ($what, $change, $error) = @$case;

	make_versions(3);
	$alice->ask(train('n'));
	$alice->ask(q{SELECT moemlora_grant('m', 'bob'), moemlora_grant('n', 'bob')});
	my $before = $small->ask($predict_gated);

	close_gate();
	$small->send($predict_gated);
	ok(waits($small, 1), "$what: a statement waits in its middle");
	is($alice->errors($change), '', "$what: the change does not wait for it");
	sql($node, "VACUUM moemlora.$_") foreach qw(model grant version component);
	open_gate();
	is(scalar($small->wait) . $small->errors, $before, "$what: the statement finishes with its version");
	my $after = $small->ask($predict_gated);
	if (defined $error)
	{
		like($small->errors, $error, "$what: the next statement knows");
	}
	else
	{
		isnt($after, $before, "$what: the next statement has another version");
		is($small->errors, '', "$what: which is there");
	}
}
$small->close;

# ------------------------------------------------------------ transactions

make_versions(3);
my $third = $other->ask(scores('m'));
$alice->ask(q{BEGIN; SELECT moemlora_promote('m', 1)});
my $first = $alice->ask(scores('m'));

isnt($first, $third, 'the transaction itself sees its promotion');
is($other->ask(scores('m')), $third, 'others do not');
$alice->ask('COMMIT');
is($other->ask(scores('m')), $first, 'until the commit');
$alice->ask(q{BEGIN; SELECT moemlora_rollback('m'); ROLLBACK});
is($other->ask(scores('m')), $first, 'nor what was rolled back');
$alice->ask(q{BEGIN; SAVEPOINT a; SELECT moemlora_promote('m', 2); ROLLBACK TO a; COMMIT});
state_is('1 after 2 3', 'also to a savepoint');

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$other->ask("BEGIN ISOLATION LEVEL $level; " . scores('m'));
	$alice->ask(q{SELECT moemlora_rollback('m')});
	is($other->ask(scores('m')), $first, "$level stays with its version");
	like($other->errors(q{SELECT moemlora_promote('m', 2)}), qr/ERROR:  40001: could not serialize access to model "m"/,
		"$level does not promote over what it does not see");
	$other->ask('ROLLBACK');
	$other->ask("BEGIN ISOLATION LEVEL $level; SELECT moemlora_promote('m', 2); SELECT moemlora_promote('m', 1); COMMIT");
	is($other->errors, '', "$level promotes, and again in the same transaction");
	state_is('1 after 3 2', "$level: it is done");
}
$other->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . scores('m'));
$alice->ask(q{SELECT moemlora_drop('m')});
is($other->ask(scores('m')), $first, 'a model that was dropped elsewhere scores on');
like($other->errors(q{SELECT moemlora_promote('m', 2)}), $gone, 'but is not promoted');
$other->ask('ROLLBACK');

# --------------------------------------------- two changes: one waits for the other

# What the first does in a transaction, its end, what the second does meanwhile, how that ends, and the state then.
my $is_current = qr/ERROR:  55006: version 1 of model "m" is the current one/;

foreach my $case (
	[ 'promote(1)', 'COMMIT', 'promote(2)', '', '2 after 3 1' ],
	[ 'promote(1)', 'ROLLBACK', 'promote(2)', '', '2 after 1 3' ],
	[ 'promote(1)', 'COMMIT', 'rollback()', '', '3 after 2' ],
	[ 'promote(1)', 'COMMIT', 'drop_version(1)', $is_current, '1 after 2 3' ],
	[ 'promote(1)', 'ROLLBACK', 'drop_version(1)', '', '3 after 2' ],
	[ 'drop_version(1)', 'COMMIT', 'promote(1)', qr/ERROR:  42704: version 1 of model "m" does not exist/, '3 after 2' ],
	[ 'drop_version(1)', 'COMMIT', 'drop_version(1)', qr/ERROR:  42704: version 1 of model "m"/, '3 after 2' ],
	[ 'drop_version(1)', 'COMMIT', 'drop_version(2)', '', '3 after ' ],
	[ 'promote(1)', 'COMMIT', 'prune(0)', '', '1 after ' ],
	[ 'prune(0)', 'COMMIT', 'rollback()', qr/ERROR:  55000: model "m" has no earlier version/, '3 after ' ],
	[ q{grant('bob')}, 'COMMIT', q{grant('bob')}, '', '3 after 1 2' ],
	[ q{rename('x')}, 'COMMIT', 'promote(1)', $gone, '' ],
	[ q{rename('x')}, 'ROLLBACK', 'promote(1)', '', '1 after 2 3' ],
	[ q{drop()}, 'COMMIT', 'promote(1)', $gone, '' ],
	[ q{drop()}, 'COMMIT', q{grant('bob')}, $gone, '' ],
	[ q{owner_to('bob')}, 'COMMIT', 'promote(1)', '', '1 after 2 3' ])
{
	my ($one, $end, $two, $error, $then) = @$case;
	my ($first_call, $second_call) = map { s/(\w+)\((.*)\)/'SELECT moemlora_' . $1 . q{('m'} . ($2 eq '' ? '' : ", $2") . ')'/er }
	  $one, $two;

	make_versions(3);
	is($alice->errors("BEGIN; $first_call"), '', "$one, $end, $two: the first");
	$other->send($second_call);
	ok(waits($other, 4), "$one, $end, $two: the second waits");
	$alice->ask($end);
	$other->wait;
	like($other->errors, $error eq '' ? qr/^$/ : $error, "$one, $end, $two: the second's end");
	state_is($then, "$one, $end, $two: the state");
	$alice->ask(q{SELECT moemlora_rename('x', 'm')}) if $one =~ /rename/ && $end eq 'COMMIT';
}

# The wait has its limits.
make_versions(2);
$alice->ask(q{BEGIN; SELECT moemlora_promote('m', 1)});
like($other->errors(q{SET lock_timeout = 50; SELECT moemlora_rollback('m')}), qr/ERROR:  55P03: .*lock timeout/,
	'lock_timeout ends it');
$other->ask('RESET lock_timeout');
$other->send(q{SELECT moemlora_rollback('m')});
ok(waits($other, 4), 'another waits');
$gate->ask('SELECT pg_cancel_backend(' . $other->pid . ')');
$other->wait;
like($other->errors, qr/ERROR:  57014/, 'a cancel ends it');
like($bob->errors(q{SELECT moemlora_promote('m', 1)}), $denied, 'who has no right does not wait');
$alice->ask('COMMIT');

# Repeatable read has waited in vain.
$other->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$alice->ask(q{BEGIN; SELECT moemlora_promote('m', 2)});
$other->send(q{SELECT moemlora_drop_version('m', 1)});
ok(waits($other, 4), 'REPEATABLE READ waits too');
$alice->ask('COMMIT');
$other->wait;
like($other->errors, qr/ERROR:  40001: could not serialize access to model "m"/, 'and fails when there was a change');
$other->ask('ROLLBACK');

# Two transactions that want each other's model: one fails, none hangs.
$alice->ask(train('n')) foreach 1, 2;
$alice->ask(q{BEGIN; SELECT moemlora_promote('m', 1)});
$other->ask(q{BEGIN; SELECT moemlora_promote('n', 1)});
$alice->send(q{SELECT moemlora_promote('n', 1)});
ok(waits($alice, 4), 'one waits for the other');
$other->ask(q{SELECT moemlora_promote('m', 1)});
$alice->wait;
like($alice->errors . $other->errors, qr/ERROR:  40P01: deadlock detected/, 'a deadlock is found');
$_->ask('ROLLBACK') foreach $alice, $other;

# Two that give the same name.
$alice->ask(q{BEGIN; SELECT moemlora_rename('m', 'x')});
my $busy = qr/ERROR:  55P03: model "x" is being trained or changed by another session/;
like($other->errors(q{SELECT moemlora_rename('n', 'x')}), $busy, 'a name that another transaction is about to give');
like($other->errors(train('x')), $busy, 'no training takes it either');
$alice->ask('COMMIT');
like($other->errors(q{SELECT moemlora_rename('n', 'x')}), qr/ERROR:  42710: model "x" already exists/, 'and has given');
is($other->ask(train('m')), '1', 'the name before is free');

# ----------------------------------------------------------- beside a training

# What may be done meanwhile is done at once; then the training's version is current, and the way back is right.
make_versions(4);
$alice->ask(train('n'));
close_gate();
$alice->send(train('m', '{"warm_start": true}', $gated_rows));
ok(waits($alice, 1), 'a training reads');
is($other->errors("SELECT moemlora_$_"), '', "meanwhile: $_")
  foreach q{promote('m', 2)}, q{rollback('m')}, q{promote('m', 1)}, q{drop_version('m', 4)}, q{grant('m', 'bob')},
  q{revoke('m', 'bob')}, q{prune('m', 1)};
like($other->errors("SELECT moemlora_$_"), qr/ERROR:  55P03: model "m" is being trained or changed by another session/,
	"but not: $_")
  foreach q{drop('m')}, q{rename('m', 'x')}, q{owner_to('m', 'bob')};
like($other->errors(q{SELECT moemlora_rename('n', 'm')}), qr/ERROR:  42710/, 'nor may its name be given away');
like($other->errors(train('m')), qr/ERROR:  55P03: model "m" is being trained/, 'nor may it be trained twice');
state_is('1 after 3', 'the training has changed nothing yet');
open_gate();
is(scalar($alice->wait) . $alice->errors, '5', 'the training ends well');
state_is('5 after 3 1', 'its version is current');
is($other->ask(q{SELECT moemlora_rollback('m')}), '1', 'and rollback leads to what was promoted meanwhile');

# A model that is only coming to be.
close_gate();
$alice->send(train('fresh', '{}', $gated_rows));
ok(waits($alice, 1), 'a training of a new model reads');
like($other->errors(q{SELECT moemlora_rename('n', 'fresh')}), qr/ERROR:  55P03: model "fresh" is being trained/,
	'its name is taken');
like($other->errors(q{SELECT moemlora_promote('fresh', 1)}), qr/ERROR:  42704: model "fresh"/, 'but it is not there');
open_gate();
$alice->wait;
is($alice->errors, '', 'it ends well');

# From the moment that it stores to the commit, a change waits for the training.
$alice->ask('BEGIN; ' . train('m'));
$other->send(q{SELECT moemlora_promote('m', 3)});
ok(waits($other, 4), 'trained but not committed: a promotion waits');
$alice->ask('COMMIT');
$other->wait;
is($other->errors, '', 'and comes after it');
state_is('3 after 1 6', 'which the way back shows');

# And a training that stores waits for a change that is not committed.
$other->ask(q{BEGIN; SELECT moemlora_promote('m', 1)});
$alice->send(train('m'));
ok(waits($alice, 4), 'a training that would store waits for a promotion');
$other->ask('COMMIT');
is(scalar($alice->wait), '7', 'and stores after it');
state_is('7 after 6 3 1', 'on top of it');

# A training that keeps its snapshot could not store over a promotion: that waits, and the hours are not lost.
close_gate();
$alice->send('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . train('m', '{}', $gated_rows) . '; COMMIT');
ok(waits($alice, 1), 'a training in REPEATABLE READ reads');
$other->send(q{SELECT moemlora_promote('m', 3)});
ok(waits($other, 4), 'a promotion waits');
open_gate();
is(scalar($alice->wait) . $alice->errors, '8', 'the training ends well');
$other->wait;
is($other->errors, '', 'and the promotion follows');
state_is('3 after 6 1 7 8', 'the state');

# --------------------------------------------------------- all of it at once

make_versions(3);
my @sessions = map { Moemlora::Session->new($node, user => 'alice') } 1 .. 6;
my @changes = (
	[ map { ("SELECT moemlora_promote('m', $_)", q{SELECT moemlora_rollback('m')}) } (1, 2, 3) x 10 ],
	[ map { ("SELECT moemlora_promote('m', $_)") } (3, 2, 1, 4, 5) x 10 ],
	[ map { ("SELECT moemlora_drop_version('m', $_)", q{SELECT moemlora_prune('m', 4)}) } 1 .. 15 ],
	[ map { train('m') } 1 .. 12 ]);

$sessions[$_]->send(join ";\n", @{ $changes[$_] }) foreach 0 .. 3;
$sessions[$_]->send(join '; ', (q{SELECT count(moemlora_predict('m', place, s)) FROM shown s}) x 40) foreach 4, 5;
foreach my $i (0 .. 5)
{
	my $out = $sessions[$i]->wait;
	my @errors = $sessions[$i]->errors =~ /ERROR:  (\w+)/g;
	my %allowed = map { $_ => 1 } $i < 3 ? qw(42704 55000 55006) : ();

	is(join(' ', grep { !$allowed{$_} } @errors), '', "session $i of many: no other errors than there may be");
	is($out, join("\n", (2000) x 40), "session $i of many scored") if $i > 3;
}
is($gate->ask($state) =~ /^\d+ after/ ? 'there' : 'gone', 'there', 'the model is there');
is( $gate->ask(q{
		SELECT count(*) FROM moemlora.model m JOIN moemlora.version v ON v.model_id = m.id AND v.number = m.current_version}),
	'1', 'so is its current version');
is( $gate->ask(q{
		SELECT count(*) FROM moemlora.model m, unnest(earlier_versions) AS e
		WHERE e = m.current_version OR NOT EXISTS (SELECT FROM moemlora.version v WHERE v.model_id = m.id AND v.number = e)}),
	'0', 'and all that rollback leads to');
is($gate->ask('SELECT cardinality(earlier_versions) - (SELECT count(DISTINCT e) FROM unnest(earlier_versions) AS e)'
	  . ' FROM moemlora.model'), '0', 'each once');
is($gate->ask('SELECT last_version FROM moemlora.model'), '15', 'no number was given twice');

$_->close foreach $alice, $other, $bob, $gate, @sessions;
finish($node);
