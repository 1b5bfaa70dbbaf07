# A hot standby scores as its primary does, follows it, and trains nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_server('primary', streaming => 1);

make_rows($primary, 2000);

sub train
{
	my ($seed) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 2, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own", "seed": $seed}')};
}

my $scores = q{SELECT string_agg(float4send(moemlora_predict('m', place, s))::text, '' ORDER BY id)
	FROM (SELECT * FROM shown LIMIT 200) AS s};
my $predict = q{moemlora_predict('m', 'place 1', '{"user_id": 7}')};

sql($primary, train(1));
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;

my $reader = Moemlora::Session->new($standby);
my $gate = Moemlora::Session->new($standby);
my $first = $reader->ask($scores);

is($first, sql($primary, $scores), 'the standby scores as the primary, bit by bit');
is(sql($standby, q{SELECT count(*), bool_and(abs(score - p) < 1e-6)
	FROM (SELECT moemlora_score('m', place, s) OVER () AS score, moemlora_predict('m', place, s) AS p FROM shown s) AS x}),
	'2000|t', 'in blocks too');
is(sql($standby, q{SELECT rows FROM moemlora_evaluate('m', 'shown', 'clicked', 'place') WHERE scope = 'all'}),
	'2000', 'and evaluates');
is(sql($standby, 'SELECT string_agg(name, \' \') FROM moemlora.models'), 'm', 'the views work');
is(sql($standby, 'SELECT count(*) FROM moemlora.progress'), '0', 'so does that of the progress');
refuses($standby, train(2), '25006', qr/cannot execute moemlora_train/, 'it does not train');
foreach my $call (
	q{drop('m')}, q{promote('m', 1)}, q{rollback('m')}, q{drop_version('m', 1)}, q{prune('m', 1)},
	q{rename('m', 'n')}, q{grant('m', 'public')}, q{revoke('m', 'public')}, q{owner_to('m', current_user)})
{
	my ($function) = $call =~ /^(\w+)/;

	refuses($standby, "SELECT moemlora_$call", '25006', qr/cannot execute moemlora_$function\(\)/, "nor: $call");
}

# A loop of statements in one transaction follows the primary; its calls are kept from one statement to the next.
my @expected = (sql($primary, "SELECT $predict"));

$gate->ask('SELECT pg_advisory_lock(1), pg_advisory_lock(2)');
$reader->send(qq{
	DO \$\$
	DECLARE
		seen real[] := '{}';
	BEGIN
		FOR i IN 1 .. 3 LOOP
			seen := seen || $predict;
			PERFORM pg_advisory_lock(i);
		END LOOP;
		RAISE WARNING 'seen %', (SELECT string_agg(s::text, ' ' ORDER BY i) FROM unnest(seen) WITH ORDINALITY AS u(s, i));
		PERFORM pg_advisory_unlock_all();
	END \$\$});
foreach my $i (1, 2)
{
	$gate->ask_until_true("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $i")
	  or die 'the loop does not go on';
	sql($primary, train(10 + $i));
	push @expected, sql($primary, "SELECT $predict");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	$gate->ask("SELECT pg_advisory_unlock($i)");
}
$reader->wait;
like($reader->errors, qr/seen @expected$/m, 'a loop on the standby sees each version once it has arrived');

# A transaction that keeps its snapshot keeps its version.
$reader->ask('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = $reader->ask($scores);

sql($primary, train(20));
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($reader->ask($scores), $before, 'REPEATABLE READ keeps the old version');
$reader->ask('COMMIT');
isnt($reader->ask($scores), $before, 'which was not the newest');
is($reader->ask($scores), sql($primary, $scores), 'that comes after the transaction');

# A promotion arrives as a training does, and so does the end of the version before.
sql($primary, q{SELECT moemlora_promote('m', 1); SELECT moemlora_prune('m', 0); SELECT moemlora_grant('m', 'public')});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($reader->ask($scores), $first, 'the standby follows a promotion');
is($reader->ask('SELECT version FROM moemlora.versions'), '1', 'and a pruning');
is($reader->ask('SELECT model, grantee FROM moemlora.grants'), 'm|public', 'and a grant');

# The standby takes over.
$primary->stop('fast');
$standby->promote;
is(sql($standby, train(30)), 't', 'a promoted standby trains');
is(sql($standby, 'SELECT current_version FROM moemlora.models'), '5', 'the next version');

$_->close foreach $reader, $gate;
$primary->start;
finish($primary, $standby);
