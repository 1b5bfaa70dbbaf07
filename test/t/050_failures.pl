# Whatever fails, and whenever: a full disk while a model is stored, no memory,
# a timeout, a process that is killed.  The catalog is consistent afterwards, no
# model is half there, the next training works and so does the next retraining,
# and no file is left.
#
# Moments are drawn from MOEMLORA_SEED, MOEMLORA_ROUNDS times: make soak.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $rounds = $ENV{MOEMLORA_ROUNDS} // 1;
my $seed = $ENV{MOEMLORA_SEED} // 1;

srand($seed);
note("seed $seed, $rounds rounds");

# Segments of shared memory are files, so that they can be counted; small files
# of the log let a limit for files act on tables alone.
my $node = new_server(
	'failures',
	initdb => ['--wal-segsize=1'],
	settings => q{
	dynamic_shared_memory_type = mmap
	max_worker_processes = 8
	restart_after_crash = on
});

sql($node, q{
	CREATE TABLE shown AS
	SELECT i AS id, i % 10000 AS user_id, 'place ' || i % 3 AS place, i * 7::bigint % 11 < 4 AS clicked
	FROM generate_series(1, 30000) AS i;
});

# Through all phases.
sub train
{
	my ($model, $workers) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [16, 8], "embedding_dim": 32, "recipe": "paper", "gate": "input", "finetune": true,
		"workers": $workers}')};
}

sql($node, train($_, 0)) foreach 'kept', 'changing';

my $score = q{SELECT md5(string_agg(float4send(moemlora_predict('kept', place, s))::text, '' ORDER BY id)) FROM shown s};
my $expected = sql($node, $score);

my %work = (
	'training of a model' => train('new', 0),
	'training of a version' => train('changing', 0),
	'training in parallel' => train('changing', 2),
	'moemlora_retrain' => q{CALL moemlora_retrain('changing', '{"workers": 0}')},
	'moemlora_retrain in parallel' => q{CALL moemlora_retrain('changing', '{"workers": 2}')},
	'moemlora_predict' => q{SELECT count(moemlora_predict('kept', place, s)) FROM shown s, generate_series(1, 4)},
	'moemlora_score' => q{SELECT count(s) FROM (SELECT moemlora_score('kept', place, s) OVER () AS s FROM shown s) AS s},
	'moemlora_evaluate' => q{SELECT count(*) FROM moemlora_evaluate('kept', 'shown', 'clicked', 'place')},
	'moemlora_importance' => q{SELECT count(*) FROM moemlora_importance('kept', 'shown', 'clicked', 'place')},
	'moemlora_drift' => q{SELECT count(*) FROM moemlora_drift('kept', 'shown', 'place')},
	'moemlora_fit' => q{SELECT length(moemlora_fit(clicked, place, s, '{"epochs": 1, "hidden": [8]}'))
		FROM (SELECT clicked, place, user_id FROM shown) AS s},
	'moemlora_import' => q{SELECT moemlora_import('new', moemlora_export('kept')) > 0});

# ------------------------------------------------------------ what must be true

sub files
{
	my @patterns = ('pg_dynshmem/*', 'base/pgsql_tmp/*', 'base/*/t*_*');

	return map { glob $node->data_dir . "/$_" } @patterns;
}

my $idle = files();

# Every version as its row says it is, every byte of it readable.
my $damage = q{
	SELECT 'no current version: ' || name FROM moemlora.model m
	WHERE NOT EXISTS (SELECT FROM moemlora.version v WHERE v.model_id = m.id AND v.number = m.current_version)
UNION ALL
	SELECT 'not as its row says: ' || m.name || ', version ' || v.number
	FROM moemlora.model m JOIN moemlora.version v ON v.model_id = m.id
	WHERE v.number > m.last_version
	OR v.bytes IS DISTINCT FROM (SELECT sum(octet_length(data)) FROM moemlora.component c
		WHERE c.version_id = v.id AND c.kind = 'model')
	OR v.bytes <> octet_length(moemlora_export(m.name, v.number))
	OR v.n_features <> (SELECT count(*) FROM moemlora.feature f WHERE f.version_id = v.id)
	OR v.n_domains <> (SELECT count(*) FROM moemlora.domain d WHERE d.version_id = v.id)
	OR (SELECT count(*) FROM moemlora.phase p WHERE p.version_id = v.id) <> 4
UNION ALL
	SELECT 'in progress: ' || model FROM moemlora.progress WHERE phase <> 'abandoned'
};

# Whether retraining makes a version, and one that scores if it is the current one.
sub next_version
{
	my ($model) = @_;

	return sql(
		$node, qq{
		SELECT max(version) AS before FROM moemlora.versions WHERE model = '$model' \\gset
		CALL moemlora_retrain('$model');
		SELECT max(version) > :before AND moemlora_predict('$model', 'place 1', '{"user_id": 7}') IS NOT NULL
		FROM moemlora.versions WHERE model = '$model'
	});
}

# One test.
sub is_sound
{
	my ($after, @wrong) = @_;
	my $give_up = time + 30;

	push @wrong, sql($node, $damage);
	push @wrong, 'other scores' if sql($node, $score) ne $expected;
	push @wrong, 'no next training' if sql($node, train('next', 0)) ne 't';
	push @wrong, 'no next retraining' if next_version('changing') ne 't';
	sql($node, q{SELECT moemlora_drop(name) FROM moemlora.models WHERE name IN ('next', 'new')});
	sql($node, q{SELECT moemlora_prune('changing', 1)});
	usleep(10000) while files() > $idle && time < $give_up;
	push @wrong, 'files: ' . join ' ', files() if files() > $idle;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", grep { $_ ne '' } @wrong), '', "sound after $after");
}

is_sound('nothing');
foreach my $harm ('UPDATE moemlora.model SET current_version = 9', 'DELETE FROM moemlora.phase WHERE position = 2',
	'DELETE FROM moemlora.domain WHERE position = 1')
{
	like(sql($node, "BEGIN; $harm; $damage; ROLLBACK"), qr/: kept/, "damage is seen: $harm");
}

# The SQLSTATEs of a session's last answer, or of a statement.
sub states
{
	my ($session, @statement) = @_;

	return join ' ', $session->errors(@statement) =~ /(?:ERROR|FATAL|PANIC):  (\w{5}):/g;
}

# How long each takes here.
my %seconds;

foreach my $what (sort keys %work)
{
	my $start = time;

	sql($node, "BEGIN; $work{$what}; ROLLBACK");
	$seconds{$what} = time - $start;
}

# ------------------------------------------------- disk full, and no memory

# The limit of a session's process; false where that cannot be set.
sub limit
{
	my ($session, $what, $bytes) = @_;

	return system('prlimit', '--pid', $session->pid, "--$what=$bytes:unlimited") == 0;
}

sub too_small_a_disk
{
	my ($what) = @_;
	my $session = Moemlora::Session->new($node);
	my $size = sql($node,
		q{SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'moemlora.component'::regclass});

	# In the table that the stored bytes go to.
	limit($session, 'fsize', int($size + 1 + rand 1_200_000)) or die 'no limit for files';
	my $errors = $session->errors($work{$what});

	$session->close;
	return is_sound("a full disk, $what", $errors =~ /ERROR:  \w{5}: could not extend file/ ? () : "no error: $errors");
}

# Right at the start of a session, or when it has a model and all that comes with the library.
sub too_little_memory
{
	my ($what, $is_used) = @_;
	my $session = Moemlora::Session->new($node);
	my @wrong;

	$session->ask(q{SELECT moemlora_predict('kept', 'place 1', '{"user_id": 7}')}) if $is_used;
	my ($pages) = slurp_file('/proc/' . $session->pid . '/statm') =~ /^(\d+)/;

	limit($session, 'as', int($pages * 4096 + 2**(18 + rand($is_used ? 6 : 11)))) or die 'no limit for memory';
	my $states = states($session, $work{$what});

	push @wrong, $session->errors if $states !~ /^(?:53200|58P01)?\z/;
	push @wrong, 'the session is gone' if $session->ask('SELECT 1') ne '1';
	$session->close;
	return is_sound(($states eq '' ? 'enough' : "too little ($states)") . " memory, $what", @wrong);
}

my @storing = (
	'training of a model', 'training of a version', 'training in parallel', 'moemlora_retrain',
	'moemlora_retrain in parallel', 'moemlora_import');

SKIP:
{
	skip 'prlimit is not there', $rounds * (@storing + 2 * keys %work)
	  unless system("prlimit --pid $$ >/dev/null 2>&1") == 0 && -e "/proc/$$/statm";
	too_small_a_disk($_) foreach (@storing) x $rounds;
	foreach my $what ((sort keys %work) x $rounds)
	{
		too_little_memory($what, $_) foreach 0, 1;
	}
}

# -------------------------------------------------------------------- timeouts

foreach my $what ((sort keys %work) x $rounds)
{
	my $session = Moemlora::Session->new($node);
	my @wrong;

	foreach (1 .. 5)
	{
		my $milliseconds = int(1 + rand 1000 * $seconds{$what});

		push @wrong, $session->errors
		  if states($session, "SET statement_timeout = $milliseconds; $work{$what}") !~ /^(?:57014)?\z/;
	}
	$session->close;
	is_sound("timeouts, $what", @wrong);
}

# --------------------------------------------------------------------- kill -9

my $n_killed = 0;

foreach my $what ((sort keys %work) x $rounds)
{
	my $session = Moemlora::Session->new($node);

	$session->send("$work{$what}; SELECT pg_sleep(60)");
	usleep(1e6 * rand $seconds{$what});
	$n_killed += kill 'KILL', $session->pid;
	eval { $session->wait };
	my $give_up = time + 180;

	usleep(50000) until eval { sql($node, 'SELECT 1') } || time > $give_up;
	is_sound("kill -9, $what");
}

my @deaths = grep { /was terminated by signal|PANIC:|TRAP:/ } split /\n/, slurp_file($node->logfile);

is(scalar(@deaths), $n_killed, 'no process has died but those that were killed');
is(join("\n", grep { !/by signal 9/ } @deaths), '', 'nor otherwise');
$node->stop('fast');
done_testing();
