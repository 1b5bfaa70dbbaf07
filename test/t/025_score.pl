# moemlora_score() over large partitions: its memory does not grow with them,
# nothing goes to disk; a cursor keeps its version; a cancel comes through.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Cancel;
use Moemlora::Session;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('score', settings => "log_temp_files = 0\n");

make_rows($node, 2000);

# The rows of shown, and their scores one by one.
sub train
{
	my ($model, $seed) = @_;

	return qq{SELECT count(*) FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 2, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own", "seed": $seed}')};
}

sql($node, train('m', 1));
sql(
	$node, q{
	CREATE TABLE expected AS SELECT DISTINCT user_id, place, moemlora_predict('m', place, s) AS p FROM shown s;
	CREATE FUNCTION memory() RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts); END';
	CREATE FUNCTION memory_of_rows() RETURNS bigint STABLE LANGUAGE sql
	RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'moemlora score %');
});

# Rows that together are wider than work_mem: the block is made of fewer of them.
sub temporary_files
{
	my ($session, $query) = @_;
	my $offset = -s $node->logfile;

	$session->ask($query);
	die $session->errors if $session->errors ne '';
	return scalar(() = slurp_file($node->logfile, $offset) =~ /LOG:  temporary file/g);
}

# A text of 3200 bytes in each row is returned, or not.
sub wide_rows
{
	my ($function, $returned) = @_;

	return qq{SELECT max($returned), count(s) FROM (SELECT $function AS s, r.*
		FROM (SELECT i % 50 AS user_id, 'place ' || i % 3 AS place, repeat(md5(i::text), 100) AS more
			FROM (SELECT generate_series(1, 20000) AS i OFFSET 0) AS g OFFSET 0) AS r) AS x};
}

# A partition of two million rows.  With a lot of work_mem the server would keep all of it in memory, if it had to.
my $n = 2_000_000;
my $rows = qq{SELECT generate_series(1, $n) AS i OFFSET 0};

foreach my $way ('off', 'on')
{
	my $name = $way eq 'on' ? 'without a window' : 'in a window';
	my $session = Moemlora::Session->new($node);

	$session->ask("SET work_mem = '1GB'; SET jit = off; SET moemlora.enable_score_scan = $way");
	my ($n_scored, $n_wrong, @memory) = split /\|/, $session->ask(qq{
		SELECT sum(n_scored), sum((greatest(abs(least - p), abs(most - p)) > 1e-6)::int), min(first_memory), max(most_memory)
		FROM (SELECT user_id, place, count(s) AS n_scored, min(s) AS least, max(s) AS most,
				min(memory) FILTER (WHERE i <= $n / 10) AS first_memory, max(memory) AS most_memory
			FROM (SELECT i, i % 50 AS user_id, 'place ' || i % 3 AS place,
					moemlora_score('m', 'place ' || i % 3, ROW(i % 50)) OVER () AS s,
					CASE WHEN i % ($n / 20) = 0 THEN memory() END AS memory
				FROM ($rows) AS r) AS scored
			GROUP BY user_id, place) AS grouped
		JOIN expected USING (user_id, place)});

	is($session->errors, '', "two million rows are scored, $name");
	is("$n_scored $n_wrong", "$n 0", "as they are one by one, $name");
	note("memory: $memory[0] bytes near the start, $memory[1] at most");
	cmp_ok($memory[1] - $memory[0], '<', 1_000_000, "the session does not grow with the partition, $name");

	my $score = q{moemlora_score('m', place, r) OVER ()};

	$session->ask("SET work_mem = '1MB'");
	is(temporary_files($session, wide_rows($score, 'place')), 0, "wide rows do not go to disk, $name");
	if ($way eq 'on')
	{
		is(temporary_files($session, wide_rows($score, 'more')), 0, 'nor do wide rows that are returned');
		cmp_ok((split /\|/, $session->ask(wide_rows($score, 'CASE WHEN length(more) > 0 THEN memory_of_rows() END')))[0],
			'<', 400_000, 'they take a quarter of work_mem');
	}
	cmp_ok(temporary_files($session, wide_rows('lead(r, 511) OVER ()', 'place')), '>', 0, '(512 of them would)');
	is( temporary_files($session, q{SELECT count(s) FROM (SELECT moemlora_score(model, place, ROW(user_id)) OVER () AS s
			FROM (SELECT user_id, place, moemlora_export('m') || '' AS model FROM shown OFFSET 0) AS r) AS x}),
		0, "nor do models in rows, $name");
	$session->ask("SET work_mem = '64kB'");
	is( temporary_files($session, "SELECT count(s) FROM (SELECT moemlora_score('m', 'place 1', ROW(i % 50)) OVER () AS s FROM ($rows LIMIT 20000) AS r) AS x"),
		0, "nor do narrow ones with little work_mem, $name");
	$session->close;
}

# Of a table's rows only the columns are kept that the model reads.
sql($node, q{CREATE TABLE wide AS SELECT user_id, place, repeat(md5(id::text), 50) AS not_read FROM shown});
cmp_ok(sql($node, q{SELECT max(bytes) / (count(s) > 0)::int FROM (SELECT moemlora_score('m', place, w) OVER () AS s, CASE WHEN user_id >= 0 THEN memory_of_rows() END AS bytes FROM wide w) AS x}),
	'<', 300_000, 'columns that are no features take no memory');

# A cursor goes on with its version: over trainings, a drop, a vacuum, and a cache too small for two models.
sql($node, train('n', 2));
my $session = Moemlora::Session->new($node);
my $other = Moemlora::Session->new($node);
my $both = q{SELECT id, s1.p, moemlora_score('m', place, s) OVER w, s2.p, moemlora_score('n', place, s) OVER w
	FROM shown s JOIN expected s1 USING (user_id, place) JOIN expected_n s2 USING (user_id, place)
	WINDOW w AS (ORDER BY id)};

sql($node, q{CREATE TABLE expected_n AS SELECT DISTINCT user_id, place, moemlora_predict('n', place, s) AS p FROM shown s});
$other->ask("SET moemlora.cache_size = '64kB'; BEGIN; DECLARE c SCROLL CURSOR FOR $both");
my @fetched = split /\n/, $other->ask('FETCH 300 FROM c');

sql($node, train('m', 3));
push @fetched, split /\n/, $other->ask('FETCH 700 FROM c');
sql($node, q{SELECT moemlora_drop('m'), moemlora_drop('n')});
sql($node, "VACUUM moemlora.$_") foreach qw(model version component);
push @fetched, split /\n/, $other->ask('FETCH ALL FROM c');
my @again = split /\n/, $other->ask('MOVE BACKWARD 1500 FROM c; FETCH ALL FROM c');

$other->ask('COMMIT');
is(join(' ', map { (split /\|/)[0] } @fetched), join(' ', 1 .. 2000), 'a cursor gives all rows');
is(scalar(grep { my (undef, $p, $s, $q, $t) = split /\|/; abs($p - $s) > 1e-6 || abs($q - $t) > 1e-6 } @fetched),
	0, 'all scored by the versions that it began with');
is("@again", "@fetched[501 .. 1999]", 'backwards and forwards again it gives the same');
is($other->errors(q{SELECT moemlora_score('m', place, s) OVER () FROM shown s}) =~ /ERROR:  42704/ ? 1 : 0,
	1, 'the next statement sees that they are gone');

# A cancel comes through, in a block of many domains each of which needs a tower made of many experts.
sql(
	$node, q{
	SELECT count(*) FROM moemlora_train('many', '(SELECT *, (''place '' || id % 200) AS d FROM shown)', 'clicked', 'd',
		ARRAY['user_id'], '{"epochs": 1, "hidden": [512, 128], "min_domain_rows": 2, "recipe": "gated", "serve": "gate"}')});
prepare_cancels($node);
my @milliseconds;

# In new sessions, which have made no towers yet.
foreach my $i (1 .. 9)
{
	$session->close;
	$session = Moemlora::Session->new($node);
	$session->send(q{SELECT count(s) FROM (SELECT moemlora_score('many', 'place ' || id % 200, s) OVER () AS s FROM shown s) AS x;
		SELECT extract(epoch FROM clock_timestamp())});
	my ($cancelled_at) =
	  split /\|/, $other->ask('SELECT cancelled_at FROM cancel_when(' . $session->pid . q{, 'true', } . (0.1 + 0.03 * $i) . ')');
	my $ended_at = $session->wait;

	push @milliseconds, 1000 * ($ended_at - $cancelled_at) if $session->errors =~ /ERROR:  57014/;
}
@milliseconds = sort { $a <=> $b } @milliseconds;
is(scalar(@milliseconds), 9, 'all cancels meet a block');
note(sprintf 'median %.1f ms, longest %.1f ms', @milliseconds[4, -1]) if @milliseconds == 9;
cmp_ok($milliseconds[4] // 1000, '<', 100, 'most come through within 100 ms');
cmp_ok($milliseconds[-1] // 1000, '<', 500, 'and none takes long');
is($session->ask(q{
		SELECT count(*), bool_and(abs(s - p) < 1e-6)
		FROM (SELECT moemlora_score('many', d, x) OVER (ORDER BY d) AS s, moemlora_predict('many', d, x) AS p
			FROM (SELECT user_id, 'place ' || id % 10 AS d FROM shown WHERE id <= 1000) AS x) AS y}),
	'1000|t', 'and then the session scores as ever');

$_->close foreach $session, $other;
finish($node);
