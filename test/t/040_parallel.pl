# Training with parallel workers: the model of any number of them is bitwise
# the same, and so are the epochs that are kept; what limits them is told; and
# whatever ends a training ends all of its processes and leaves nothing behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Cancel;
use Moemlora::Session;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';

# Segments of shared memory are files in the data directory, so that they can be counted.
# No file may be larger than 40 MB: there will be no such segment.
my $limit_files = system("prlimit --pid $$ --fsize=41943040:unlimited") == 0;
my $node = new_server('parallel', settings => q{
	dynamic_shared_memory_type = mmap
	max_worker_processes = 8
	restart_after_crash = on
});

system("prlimit --pid $$ --fsize=unlimited") if $limit_files;
plant_clicks($node);
sql($node, q{CREATE TABLE shown AS SELECT * FROM clicks(60000, 5, 0.5, 1)});

my $features = q{ARRAY['user_id', 'item_id', 'price']};

sub training
{
	my ($model, $options, $source) = @_;

	$source //= '(SELECT * FROM shown LIMIT 6000)';
	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', '$source', 'clicked', 'place', $features,
		'{"epochs": 2, "hidden": [16, 8], "embedding_dim": 4, "lora_rank": 2}'::jsonb || '$options')};
}

# Segments beside those that the server itself had when it started.
sub segments
{
	my @files = glob $node->data_dir . '/pg_dynshmem/*';

	return scalar @files;
}

my $idle = segments();

# One test.  A session that used workers keeps a small segment of the server's until it has ended.
sub leaves_nothing
{
	my ($name) = @_;
	my $give_up = time + 30;

	usleep(10000) while segments() != $idle && time < $give_up;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(segments(), $idle, $name);
}

# ------------------------------------------------------------- the same model

sub epochs
{
	my ($model) = @_;

	return sql($node, qq{SELECT string_agg(e::text, E'\\n' ORDER BY e) FROM (
		SELECT phase, expert, domain, epoch, train_logloss, valid_logloss, valid_auc, is_best FROM moemlora.epoch
		WHERE version_id IN (SELECT v.id FROM moemlora.version v JOIN moemlora.model m ON m.id = v.model_id WHERE m.name = '$model')) AS e});
}

foreach my $case (
	[ 'all starts, experts, gate' => '{"recipe": "auto", "experts_per_domain": 2}' ],
	[ 'gate over the input' => '{"recipe": "gated", "gate": "input", "finetune": true, "backbone": "dcn"}' ],
	[ 'mlora' => '{"method": "mlora", "batch_size": 100}' ],
	[ 'backbone' => '{"method": "backbone", "backbone": "fibinet"}' ])
{
	my ($what, $options) = @$case;
	my ($bytes, $epochs);

	foreach my $workers (0, 1, 3)
	{
		my $said = sql($node, training('m', qq({"workers": $workers}) . "'::jsonb || '$options"), notices => 1);
		my $processes = $workers == 0 ? '1 process' : ($workers + 1) . ' processes';

		like($said, qr/NOTICE:  00000: training on 5,\d\d\d rows in $processes takes [1-9]\d* MB/, "$what: $processes");
		$bytes //= stored_bytes($node, 'm');
		$epochs //= epochs('m');
		is(stored_bytes($node, 'm'), $bytes, "$what: the same model with $workers workers") if $workers > 0;
		is(epochs('m'), $epochs, "$what: the same epochs with $workers workers") if $workers > 0;
		sql($node, q{SELECT moemlora_drop('m')});
	}
}
leaves_nothing('no segment is left');

# -------------------------------------------------------------- what limits it

sub said
{
	my ($settings, $options, $source) = @_;

	return sql($node, "$settings BEGIN; " . training('n', $options, $source) . '; ROLLBACK', notices => 1);
}

my $quick = '{"method": "backbone", "epochs": 1}';

# "N processes" with at most so many workers.
sub processes
{
	my ($most) = @_;
	my $processors = `nproc` + 0;
	my $n = 1 + ($processors - 1 < $most ? $processors - 1 : $most);

	return "$n process" . ($n == 1 ? '' : 'es');
}

like(said('', $quick), qr/rows in 1 process /, 'few rows: no worker by itself');
like(said('', $quick, 'shown'), qr/rows in @{[processes(2)]} /, 'many rows: as many as for building an index, one per processor');
like(said('SET max_parallel_maintenance_workers = 1;', $quick, 'shown'), qr/rows in @{[processes(1)]} /, 'or as that setting says');
like(said('SET moemlora.max_workers = 0;', $quick, 'shown'), qr/rows in 1 process /, 'moemlora.max_workers limits them');
unlike(said('SET moemlora.max_workers = 0;', $quick, 'shown'), qr/instead of/, 'without a word');
like(
	said('SET max_parallel_workers = 1;', '{"method": "backbone", "epochs": 1, "workers": 3}'),
	qr/NOTICE:  00000: training with 2 processes instead of 4\nHINT:  [^\n]*max_parallel_workers.*rows in 2 processes/s,
	'the server has fewer');
like(said('SET max_parallel_workers = 0;', '{"method": "backbone", "epochs": 1, "workers": 3}'),
	qr/training with 1 process instead of 4.*rows in 1 process /s, 'or none');

# 10,000 values of 256 numbers in 7 states are more than 40 MB.
my $wide = q{(SELECT i AS user_id, 1 AS item_id, 0.5 AS price, $$a$$ AS place, i % 3 = 0 AS clicked FROM generate_series(1, 10000) AS i)};

SKIP:
{
	skip 'prlimit is not there', 2 unless $limit_files;
	my $alone = said('', '{"method": "backbone", "epochs": 1, "workers": 1, "embedding_dim": 256}', $wide);

	like($alone, qr/training with 1 process instead of 2/, 'too little shared memory: it trains alone');
	leaves_nothing('and what it had of it is given back');
}

# ---------------------------------------------------------------- how it ends

my $before = catalog($node);
my $endless = '{"recipe": "gated", "epochs": 1000, "patience": 1000, "workers": 2, "dropout": 0.2}';

sql($node, q{
	CREATE FUNCTION try_to_train(statement text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE statement;
		RETURN 'trained';
	EXCEPTION WHEN OTHERS OR query_canceled THEN
		RETURN SQLERRM;
	END $$;
});

my $workers = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' ORDER BY pid LIMIT 1};

# Starts an endless training in a session and waits until its workers are there; returns one of them.
sub start_endless
{
	my ($session, $statement) = @_;

	$session->send($statement // training('n', $endless));
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker'})
	  or die 'no workers';
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM moemlora.progress WHERE phase = 'gated'})
	  or die 'no training';
	return sql($node, $workers);
}

my $session = Moemlora::Session->new($node);
my $worker = start_endless($session);

sql($node, "SELECT pg_terminate_backend($worker)");
$session->wait;
like($session->errors, qr/(?:ERROR|FATAL):  (?:57P01|55000)/, 'a worker that is ended ends the training');
is($session->ask('SELECT 1'), '1', 'but not the session');
is(sql($node, "SELECT count(*) FROM ($workers) AS w"), '0', 'no worker goes on');

$worker = start_endless($session, 'SELECT try_to_train($train$' . training('n', $endless) . '$train$)');
sql($node, "SELECT pg_terminate_backend($worker)");
like($session->wait, qr/terminating|lost connection/, 'inside an exception block it can be caught');
is($session->ask(training('o', $quick =~ s/\}/, "workers": 2}/r)), 't', 'and the session can train again');
sql($node, q{SELECT moemlora_drop('o')});

my $leader = $session->pid;

start_endless($session);
sql($node, "SELECT pg_terminate_backend($leader)");
eval { $session->wait };
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ($workers) AS w"), 'without the leader no worker goes on');
leaves_nothing('no segment is left');
is(catalog($node), $before, 'and nothing is stored');

prepare_cancels($node);
cancel_often($node, training('n', $endless), in_phase('gated'), within => 0.1, name => 'cancel of leader and workers');
cancel_often(
	$node,
	training('n', '{"recipe": "paper", "epochs": 1, "workers": 2, "experts_per_domain": 60}'),
	in_phase('experts'),
	within => 0.1,
	name => 'cancel while all train experts');
leaves_nothing('no segment is left after cancels');

# ------------------------------------------------------------------- kill -9

foreach my $victim ('worker', 'leader')
{
	my $doomed = Moemlora::Session->new($node);
	my $pid = $doomed->pid;

	$worker = start_endless($doomed);
	kill 'KILL', $victim eq 'worker' ? $worker : $pid;
	eval { $doomed->wait };
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	leaves_nothing("kill -9 of the $victim: no segment is left");
	is(catalog($node), $before, 'nothing is stored');
	is(sql($node, training('o', $quick =~ s/\}/, "workers": 2}/r)), 't', 'training works again');
	sql($node, q{SELECT moemlora_drop('o')});
}

$node->stop('fast');
done_testing();
