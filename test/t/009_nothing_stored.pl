# Whatever goes wrong, at whatever row, nothing is stored, the model is as it
# was, and the same session can go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('nothing_stored');

sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT i AS id, i % 50 AS user_id, (i % 17)::real AS price, 'place ' || i % 3 AS place, i % 3 = 0 AS clicked
	FROM generate_series(1, 50000) AS i;
});

sub training
{
	my ($model, $source, $options) = @_;

	$options //= '{}';
	return qq{SELECT count(*) FROM moemlora_train('$model', \$s\$$source\$s\$, 'clicked', 'place', NULL,
		'{"epochs": 1, "hidden": [4], "method": "backbone"}'::jsonb || '$options')};
}

sub predicted
{
	my ($session) = @_;

	return $session->ask(q{SELECT moemlora_predict('old', 'place 1', '{"user_id": 7, "price": 3}')});
}

my $session = Moemlora::Session->new($node);

$session->ask(training('old', '(SELECT user_id, price, place, clicked FROM shown)'));
my $before = catalog($node);
my $score = predicted($session);

like($score, qr/^0\.\d+$/, 'there is a model');

# Each is tried for a new model and for the one that is there.
my @mishaps = (
	[ 'an error at the first row', '(SELECT *, 1 / (id - 1) AS x FROM shown ORDER BY id)', '{}', qr/22012: / ],
	[ 'in the middle', '(SELECT *, 1 / (id - 25000) AS x FROM shown ORDER BY id)', '{}', qr/22012: / ],
	[ 'at the last row', '(SELECT *, 1 / (id - 50000) AS x FROM shown ORDER BY id)', '{}', qr/22012: / ],
	[ 'a label that cannot be',
		'(SELECT user_id, CASE WHEN id = 40000 THEN 2 ELSE id % 2 END AS clicked, place FROM shown ORDER BY id)',
		'{}', qr/22003: .*DETAIL:[^\n]* 40000\b/s ],
	[ 'a feature that is no number',
		q{(SELECT CASE WHEN id = 40000 THEN 'NaN' ELSE price END AS price, clicked, place FROM shown ORDER BY id)},
		'{}', qr/22000: .*DETAIL:[^\n]* 40000\b[^\n]*price/s ],
	[ 'a missing column', '(SELECT user_id, place FROM shown)', '{}', qr/42703: / ],
	[ 'a missing table', 'not_there', '{}', qr/42P01: / ],
	[ 'an unknown option', 'shown', '{"epoch": 1}', qr/22023: / ],
	[ 'a training that diverges', '(SELECT power(10, id % 76 - 38) AS x, clicked, place FROM shown)',
		'{"columns": {"x": {"standardize": false}}, "hidden": [64, 64], "learning_rate": 10, "epochs": 3}',
		qr/22003: training diverged/ ],
	[ 'no rows', '(SELECT * FROM shown WHERE id < 0)', '{}', qr/22000: / ]);

foreach my $mishap (@mishaps)
{
	my ($what, $source, $options, $error) = @$mishap;

	foreach my $model ('new', 'old')
	{
		like($session->errors(training($model, $source, $options)), qr/ERROR:  $error/, "$what: the error, model $model");
	}
	is(catalog($node), $before, "$what: nothing is stored");
	is(predicted($session), $score, "$what: the session goes on with the old model");
}

# Memory: the message says how much is needed and how much allowed.
my $amount = qr/[\d,]+ (?:kB|MB|GB)/;

foreach my $case (
	[ 'while reading', 'shown', '{}' ],
	[ 'for the network', '(SELECT user_id, place, clicked FROM shown LIMIT 100)', '{"hidden": [1024, 1024]}' ],
	[ 'for embeddings', '(SELECT id, place, clicked FROM shown LIMIT 5000)', '{"embedding_dim": 512}' ])
{
	my ($where, $source, $options) = @$case;
	my $err = $session->errors(
		"SET moemlora.training_memory = '1MB'; " . training('new', $source, $options) . '; RESET moemlora.training_memory');

	like($err, qr/ERROR:  54000: .*DETAIL:  [^\n]*[Nn]eeded[^\n]*.*HINT:  [^\n]*moemlora\.training_memory/s,
		"memory limit $where: needed, allowed, and the setting");
	like($err, qr/DETAIL:[^\n]*$amount[^\n]*$amount/, "memory limit $where: both amounts");
}
is(catalog($node), $before, 'the memory limit leaves nothing');
$session->ask("SET moemlora.training_memory = '100MB'");
is($session->ask('BEGIN; ' . training('new', 'shown') . '; ROLLBACK'), '1', 'with more memory it works');

# Transactions.
my $source = '(SELECT user_id, price, place, clicked FROM shown LIMIT 1000)';

$session->ask('BEGIN; ' . training('new', $source) . '; ' . training('old', $source) . '; ROLLBACK');
is(catalog($node), $before, 'ROLLBACK takes trainings back');
is(predicted($session), $score, 'and the session knows');
$session->ask('BEGIN; ' . training('new', $source) . '; SELECT 1 / 0; COMMIT');
is(catalog($node), $before, 'so does a later error in the transaction');
$session->ask(training('new', $source) =~ s/count\(\*\)/1 \/ (count(*) - 1)/r);
is(catalog($node), $before, 'or in the statement itself');
$session->ask('BEGIN; SAVEPOINT a; ' . training('new', $source) . '; ROLLBACK TO a; COMMIT');
is(catalog($node), $before, 'so does ROLLBACK TO a savepoint');
$session->ask(
	'BEGIN; SAVEPOINT a; ' . training('new', '(SELECT *, 1 / (id - 9) FROM shown)')
	  . '; ROLLBACK TO a; ' . training('new', $source)
	  . '; SAVEPOINT b; ' . training('new', $source, '{"seed": 7}') . '; ROLLBACK TO b; COMMIT');
is($session->ask(q{SELECT string_agg(version || ' ' || is_current, ', ') FROM moemlora.versions WHERE model = 'new'}),
	'1 true', 'around a savepoint, what was trained before it stays');
like(catalog($node), qr/^model\|2\|/, 'and one model more is there');
$session->ask('BEGIN; SELECT moemlora_drop(\'new\'); ROLLBACK');
is($session->ask(q{SELECT count(*) FROM moemlora.models}), '2', 'ROLLBACK takes a drop back');
$session->ask('SELECT moemlora_drop(\'new\')');
is(catalog($node), $before, 'a drop takes everything with it');

# Read-only transactions do not even read.
my $err = $session->errors('BEGIN READ ONLY; ' . training('new', '(SELECT *, 1 / 0 FROM shown)') . '; ROLLBACK');

like($err, qr/ERROR:  25006: .*moemlora_train/, 'a read-only transaction trains nothing');
is(predicted($session), $score, 'but it may score');

$session->close;
finish($node);
