# CALL moemlora_retrain() that is stopped on its way, by kill -9 of its process,
# by an immediate shutdown of the server, by a cancel: at most one epoch is lost,
# the run shows as abandoned, and {"resume": true} ends with bitwise the model of
# a run that nobody stopped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;
use Time::HiRes 'usleep';

my $node = new_server('resume', settings => "restart_after_crash = on\nmax_worker_processes = 8");

sql(
	$node, q{
	CREATE ROLE olivia LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE SCHEMA own AUTHORIZATION olivia;
	CREATE TABLE own.shown AS
	SELECT i AS id, i * 7919::bigint % 3001 AS user_id, i % 40 AS item, 'place ' || i % 3 AS place,
		(i * 7919::bigint % 3001 + i % 40 + i / 5) % 7 < 3 AS clicked
	FROM generate_series(1, 30000) AS i;
	ALTER TABLE own.shown OWNER TO olivia;
});

my %olivia = (user => 'olivia');

# A short training, then ten epochs of each phase.
my $options = '{"epochs": 1, "hidden": [64, 32], "embedding_dim": 8, "recipe": "paper", "finetune": true,
	"experts_per_domain": 2, "workers": 0}';
my $more = '"epochs": 10, "patience": 10, "warm_start": false, "promote": "always"';

sql($node, qq{SELECT count(*) FROM moemlora_train('$_', 'own.shown', 'clicked', 'place', ARRAY['user_id', 'item'], '$options')},
	%olivia) foreach 'whole', 'm', 'parallel';

# The bytes of the newest version, and what was reported of its epochs.
sub newest
{
	my ($model) = @_;

	return sql(
		$node, qq{
		SELECT (SELECT md5(string_agg(md5(data), '' ORDER BY part)) FROM moemlora.component c WHERE c.version_id = v.id),
			(SELECT md5(string_agg(concat_ws(' ', run, expert, domain, epoch, rows, train_logloss, valid_auc, is_best), '|'
				ORDER BY run, expert, epoch)) FROM moemlora.epoch e WHERE e.version_id = v.id)
		FROM moemlora.version v JOIN moemlora.model m ON m.id = v.model_id WHERE m.name = '$model' AND v.number = m.last_version});
}

sub run_of
{
	my ($model, $columns) = @_;

	return sql($node, "SELECT $columns FROM moemlora.runs WHERE model = '$model'");
}

# Epochs that are stored of a run.
sub stored
{
	my ($model) = @_;

	return sql($node, "SELECT count(*) FROM moemlora.epochs WHERE model = '$model' AND version IS NULL AND epoch > 0");
}

sub is_nothing_left
{
	my ($model, $what) = @_;

	is(sql($node, q{SELECT (SELECT count(*) FROM moemlora.checkpoint), (SELECT count(*) FROM moemlora.checkpoint_part),
			(SELECT count(*) FROM moemlora.checkpoint_epoch)}), '0|0|0', "$what: no checkpoint is left");
	is(sql($node, "SELECT pg_try_advisory_lock(1) AND count(*) = 0 FROM moemlora.progress"), 't', "$what: nothing is in progress");
	return;
}

# Begins a run, waits until so many epochs are stored, stops it.
sub stop_after
{
	my ($model, $n, $resume, $stop) = @_;
	my $session = Moemlora::Session->new($node, notices => 1);
	my $watch = Moemlora::Session->new($node);
	my $stored = "SELECT count(*) FROM moemlora.epochs WHERE model = '$model' AND version IS NULL AND epoch > 0";
	my $pid = $session->pid;

	$session->send("CALL moemlora_retrain('$model', '{$resume$more}')");
	usleep(1000) while $session->is_busy && $watch->ask($stored) < $n;
	my $run = $watch->ask("SELECT state, r.phase <> 'reading', p.pid = $pid, p.phase <> 'abandoned', bytes > 1000
		FROM moemlora.runs r JOIN moemlora.progress p USING (model) WHERE model = '$model'");
	die "the run of model $model has ended" unless $session->is_busy;
	$watch->close;
	$stop->($session);
	is($run, 'running|t|t|t|t', "$model: the run has shown as running");
	return;
}

sub kill_process
{
	my ($session) = @_;

	kill 'KILL', $session->pid;
	$node->poll_query_until('postgres', 'SELECT true');
	return;
}

sub stop_server
{
	$node->stop('immediate');
	$node->start;
	return;
}

# ------------------------------------------------------------------ a whole run

my $err = sql($node, "CALL moemlora_retrain('whole', '{$more}')", notices => 1);
unlike($err, qr/resumed|transaction/, 'nothing is said of resuming');
my $expected = newest('whole');
is_nothing_left('whole', 'a run that ended');
sql($node, "SELECT moemlora_drop_version('whole', 1)");
my $n_epochs = sql($node, q{SELECT count(*) FROM moemlora.epochs WHERE model = 'whole' AND epoch > 0});
cmp_ok($n_epochs, '>', 30, 'many epochs');

# --------------------------------------------- killed in every phase, and resumed

my $n = 3;
my $resume = '';
my $kills = 0;
while ($n < $n_epochs - 12)
{
	my $stop = $kills % 2 ? \&stop_server : \&kill_process;

	stop_after('m', $n, $resume, $stop);
	is(run_of('m', "state, fraction BETWEEN 0.001 AND 0.999, bytes > 1000, (SELECT (options ->> 'epochs') || ' ' || (options ? 'resume') FROM moemlora.checkpoint)"),
		'abandoned|t|t|10 false', "after kill $kills: the run shows as abandoned");
	is(sql($node, q{SELECT pid IS NULL, phase FROM moemlora.progress WHERE model = 'm'}), 't|abandoned', 'in moemlora.progress too');
	cmp_ok(stored('m'), '>=', $n, 'what was stored is there');
	$resume = '"resume": true, ';
	$n = stored('m') + 9;
	$kills++;
}
cmp_ok($kills, '>=', 3, "$kills kills");
is(sql($node, q{SELECT count(*), max(current_version) FROM moemlora.models WHERE name = 'm'}), '1|1', 'no version came of it');
is(sql($node, q{SELECT count(*) FROM moemlora.runs}, user => 'stranger'), '0', 'a stranger sees no run');
is(sql($node, q{SELECT count(*) FROM moemlora.epochs}, user => 'stranger'), '0', 'nor its epochs');
my $before = stored('m');
my $phase = run_of('m', 'phase');
my $at = run_of('m', 'epochs');
my $mark = -s $node->logfile;
$err = sql($node, q{CALL moemlora_retrain('m', '{"resume": true}')}, notices => 1);
like($err, qr/NOTICE: .*training is resumed in phase $phase, after $at epochs of it/, 'the last run says where it goes on');
is(newest('m'), $expected, 'bitwise the model of a run that nobody stopped, and every epoch once');
cmp_ok(scalar(() = $err =~ /, epoch [1-9]\d*\/10, /g), '<=', $n_epochs - $before, 'no stored epoch was run again');
is_nothing_left('m', 'the last run');
my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $mark);
like($log, qr/LOG:  model "m" is trained again: the run before is resumed/, 'the log says that it is resumed');
like($log, qr/LOG:  model "m": training is resumed in phase/, 'and where');
like($log, qr/LOG:  version 2 of model "m" is current/, 'and what came of it');

# ------------------------------------------------- workers, before and afterwards

$more .= ', "workers": 2';
stop_after('parallel', 4, '', \&stop_server);
$err = sql($node, q{CALL moemlora_retrain('parallel', '{"resume": true, "workers": 0}')}, notices => 1);
like($err, qr/training is resumed/, 'resumed in one process');
is(newest('parallel'), $expected, 'the same model when three processes began it');
is_nothing_left('parallel', 'with workers');
$more =~ s/, "workers": 2//;

# ---------------------------------------------------------------- other endings

my %cancel = (cancel => sub {
	my ($session) = @_;

	sql($node, 'SELECT pg_cancel_backend(' . $session->pid . ')');
	$session->wait;
	like($session->errors, qr/ERROR:  57014/, 'cancelled');
	is($session->ask('SELECT current_user'), 'postgres', 'role as before');
});
sql($node, q{SELECT moemlora_promote('m', 1); SELECT moemlora_drop_version('m', 2)});
stop_after('m', 2, '', $cancel{cancel});
is(run_of('m', 'state'), 'abandoned', 'a run that is cancelled is abandoned');
$err = sql($node, q{CALL moemlora_retrain('m', '{"resume": true}')}, notices => 1);
like($err, qr/training is resumed/, 'and can be resumed');
is(newest('m'), $expected, 'to the same model');

# Rows that have changed: it begins anew with what was learned.
sql($node, q{SELECT moemlora_promote('m', 1); SELECT moemlora_drop_version('m', 3)});
stop_after('m', 12, '', $cancel{cancel});
sql($node, q{INSERT INTO own.shown SELECT id, user_id + 3001, item, place, clicked FROM own.shown WHERE id <= 100});
$err = sql($node, q{CALL moemlora_retrain('m', '{"resume": true, "epochs": 1}')}, notices => 1);
like($err, qr/the rows or options are not those of the run before: training begins anew with what it had learned/,
	'other rows, other options: it says so');
like($err, qr/warm start from version 1/, 'and starts from its model');
is(sql($node, q{SELECT rows, value::jsonb ->> 'epochs' FROM moemlora.versions JOIN moemlora.cards USING (model, version)
	WHERE model = 'm' AND name = 'options' ORDER BY version DESC LIMIT 1}),
	'30100|1', 'with the rows there are now');
is_nothing_left('m', 'other rows');

# Nothing to resume; nothing done yet; a training in between.
$err = sql($node, qq{CALL moemlora_retrain('m', '{"resume": true, "epochs": 1}')}, notices => 1);
like($err, qr/NOTICE: .*model "m" has no checkpoint: training begins anew/, 'nothing to resume');
sql($node, q{SELECT moemlora_promote('m', 1)});
stop_after('m', 2, '', $cancel{cancel});
sql($node, "SELECT count(*) FROM moemlora_train('m', 'own.shown', 'clicked', 'place', ARRAY['user_id', 'item'], '$options')", %olivia);
is_nothing_left('m', 'a training in between');

# Options with which a call fails are not those of the run.
sql($node, q{SELECT moemlora_promote('m', 1)});
stop_after('m', 2, '', $cancel{cancel});
my $options_before = sql($node, q{SELECT options FROM moemlora.checkpoint});
refuses($node, q{CALL moemlora_retrain('m', '{"resume": true, "split_column": "nothing"}')}, '42703', qr/split column "nothing"/, 'a wrong option');
is(sql($node, q{SELECT options FROM moemlora.checkpoint}), $options_before, 'is not kept');

# Another version is current: what was learned does not follow it.
sql($node, q{SELECT moemlora_promote('m', (SELECT max(version) FROM moemlora.versions WHERE model = 'm'))});
$err = sql($node, q{CALL moemlora_retrain('m', '{"resume": true, "epochs": 1}')}, notices => 1);
like($err, qr/the run before went on from version 1, and version \d+ is current now: training begins anew/, 'another version is current: it says so');
is_nothing_left('m', 'another version');

# A source that gives all locks away: the run that was first sees that another one has taken its place.
sql(
	$node, q{
	CREATE FUNCTION own.give_away(i int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF i = 1 THEN PERFORM pg_advisory_unlock_all(); END IF;
		RETURN i;
	END $$;
	GRANT USAGE ON SCHEMA own TO PUBLIC});
sql($node, qq{SELECT count(*) FROM moemlora_train('given away', '(SELECT * FROM own.shown WHERE own.give_away(id) > 0)', 'clicked', 'place',
	ARRAY['user_id', 'item'], '$options')}, %olivia);
my @rivals = map { Moemlora::Session->new($node) } 1, 2;
$rivals[0]->send(qq{CALL moemlora_retrain('given away', '{$more}')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM moemlora.runs WHERE model = 'given away' AND fraction > 0}), 'the first one trains');
is($rivals[1]->errors(q{CALL moemlora_retrain('given away', '{"epochs": 1, "promote": "always"}')}) =~ /ERROR/, '', 'so does another one');
$rivals[0]->wait;
like($rivals[0]->errors, qr/ERROR:  55P03: .*another training/, 'which ends the first one');
$_->close foreach @rivals;

# A checkpoint that is damaged: an error that says what to do, and that is the end of it.
sql($node, q{SELECT moemlora_promote('m', 1)});
stop_after('m', 2, '', $cancel{cancel});
foreach my $harm (
	[ q{UPDATE moemlora.checkpoint_part SET data = set_byte(data, 40, get_byte(data, 40) # 255) WHERE section = 0}, qr/wrong checksum/ ],
	[ q{DELETE FROM moemlora.checkpoint_part WHERE section = 1}, qr/damaged/ ],
	[ q{DELETE FROM moemlora.checkpoint_part WHERE section = (SELECT max(section) FROM moemlora.checkpoint_part)}, qr/damaged/ ])
{
	my ($change, $complaint) = @$harm;

	sql($node, "CREATE TABLE kept AS TABLE moemlora.checkpoint_part; $change");
	refuses($node, q{CALL moemlora_retrain('m', '{"resume": true}')}, 'XX001', $complaint, $change);
	sql($node, 'DELETE FROM moemlora.checkpoint_part; INSERT INTO moemlora.checkpoint_part TABLE kept; DROP TABLE kept');
}
is(sql($node, q{CALL moemlora_retrain('m', '{"epochs": 1}'); SELECT 'done'}), 'done', 'without "resume" it begins anew');
is_nothing_left('m', 'a damaged checkpoint');

# ------------------------------------------------------ where it may not commit

foreach my $way (
	[ 'a transaction block', q{BEGIN; CALL moemlora_retrain('m', '{"epochs": 1}'); ROLLBACK} ],
	[ 'a function', q{CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL moemlora_retrain('m', '{"epochs": 1}'); END $$;
		SELECT again()} ],
	[ 'an exception block', q{DO $$ BEGIN BEGIN CALL moemlora_retrain('m', '{"epochs": 1}'); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$} ])
{
	my ($what, $command) = @$way;

	like(sql($node, $command, notices => 1), qr/NOTICE: .*runs inside a transaction: it stores nothing on its way/, "in $what: it says so");
	is_nothing_left('m', "in $what");
}
unlike(sql($node, q{DO $$ BEGIN CALL moemlora_retrain('m', '{"epochs": 1}'); END $$}, notices => 1), qr/inside a transaction/,
	'a DO block may commit');
my $session = Moemlora::Session->new($node);
is($session->errors(q{SET default_transaction_isolation = 'repeatable read'; CALL moemlora_retrain('m', '{"epochs": 1}')}), '',
	'snapshots that last for a transaction');
is($session->ask('SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = $$advisory$$'), '0', 'no lock is left');
is_nothing_left('m', 'repeatable read');

$node->stop('fast');
done_testing();
