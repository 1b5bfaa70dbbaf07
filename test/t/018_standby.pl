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
is(sql($standby, 'SELECT string_agg(name, \' \') FROM moemlora.models'), 'm', 'the views work');
is(sql($standby, 'SELECT count(*) FROM moemlora.progress'), '0', 'so does that of the progress');

# Every function of the extension: those that only read answer as on the primary, the others are refused there.
my $value = q{(SELECT moemlora_export('m'))};
my $some = '(SELECT * FROM shown ORDER BY id LIMIT 200) AS s';
my $fit = q{, '{"epochs": 1, "hidden": [4], "workers": 1}'};
my %reads = (
	'predict(text,text,record)' => "SELECT sum(moemlora_predict('m', place, s)) FROM $some",
	'predict(text,text,jsonb)' => "SELECT sum(moemlora_predict('m', place, to_jsonb(s))) FROM $some",
	'predict(text,text,text)' => q{SELECT moemlora_predict('m', 'place 1', '{"user_id": 7}')},
	'predict(bytea,text,record)' => "SELECT sum(moemlora_predict($value, place, s)) FROM $some",
	'predict(bytea,text,jsonb)' => "SELECT sum(moemlora_predict($value, place, to_jsonb(s))) FROM $some",
	'predict(bytea,text,text)' => qq{SELECT moemlora_predict($value, 'place 1', '{"user_id": 7}')},
	'score(text,text,record)' => "SELECT sum(x) FROM (SELECT moemlora_score('m', place, s) OVER () FROM shown AS s) AS s (x)",
	'score(bytea,text,record)' => "SELECT sum(x) FROM (SELECT moemlora_score($value, place, s) OVER () FROM shown AS s) AS s (x)",
	'evaluate(text,text,text,text,integer)' => q{SELECT * FROM moemlora_evaluate('m', 'shown', 'clicked', 'place')},
	'compare(text[],text,text,text)' =>
	  q{SELECT * FROM moemlora_compare(ARRAY['m', 'm@1'], 'shown', 'clicked', 'place')},
	'inspect(text,integer)' => q{SELECT moemlora_inspect('m')},
	'inspect(bytea)' => "SELECT moemlora_inspect($value)",
	'export(text,integer)' => "SELECT md5($value)",
	'tensor(text,text)' => q{SELECT moemlora_tensor('m', 'tower.0.weight')},
	'embedding(text,text,text)' => q{SELECT moemlora_embedding('m', 'domain', 'place 1')},
	'embedding(text,text,anyelement)' => q{SELECT moemlora_embedding('m', 'user_id', 7)},
	'gates(text,integer)' => q{SELECT * FROM moemlora_gates('m')},
	'report(text,text)' => q{SELECT md5(regexp_replace(moemlora_report('m'), 'Made on [^<]*', ''))},
	'importance(text,text,text,text,integer)' => q{SELECT * FROM moemlora_importance('m', 'shown', 'clicked', 'place')},
	'tune(text,text,text,text[],jsonb,double precision)' => q{SELECT valid_wauc, options FROM moemlora_tune('shown', 'clicked', 'place',
		ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "method": ["backbone", "mlora"]}') ORDER BY options},
	'drift(text,text,text)' => q{SELECT * FROM moemlora_drift('m', 'shown', 'place')},
	'explain(text,text,record)' => "SELECT e.* FROM $some, moemlora_explain('m', place, s) AS e",
	'may_use(bigint,name)' => 'SELECT moemlora_may_use(1, current_user)',
	(
		map {
			("$_(double precision,boolean)" => "SELECT moemlora_$_((id % 7 + 1) / 9.0, clicked) FROM shown",
				"$_(double precision,integer)" => "SELECT moemlora_$_((id % 7 + 1) / 9.0, clicked::int) FROM shown",
				"$_(double precision,double precision)" =>
				  "SELECT moemlora_$_((id % 7 + 1) / 9.0, clicked::int::float8) FROM shown")
		} qw(auc logloss)),
	(
		map {
			my ($type, $label) = @$_;

			("fit($type,text,record)" =>
				  "SELECT md5(moemlora_fit($label, place, ROW(user_id))) FROM (SELECT * FROM shown LIMIT 300) AS s",
				"fit($type,text,record,jsonb)" => "SELECT md5(moemlora_fit($label, place, ROW(user_id)$fit)) FROM shown")
		} ([ 'boolean', 'clicked' ], [ 'double precision', 'clicked::int::float8' ])));
my %writes = (
	'train(text,text,text,text,text[],jsonb)' => train(2),
	'retrain(text,jsonb)' => q{CALL moemlora_retrain('m')},
	'add_domain(text,text,text,jsonb)' => q{SELECT moemlora_add_domain('m', 'new', 'shown')},
	'import(text,bytea)' => "SELECT moemlora_import('m', $value)",
	'drop(text)' => q{SELECT moemlora_drop('m')},
	'promote(text,integer)' => q{SELECT moemlora_promote('m', 1)},
	'rollback(text)' => q{SELECT moemlora_rollback('m')},
	'drop_version(text,integer)' => q{SELECT moemlora_drop_version('m', 1)},
	'prune(text,integer)' => q{SELECT moemlora_prune('m', 1)},
	'rename(text,text)' => q{SELECT moemlora_rename('m', 'n')},
	'grant(text,name)' => q{SELECT moemlora_grant('m', 'public')},
	'revoke(text,name)' => q{SELECT moemlora_revoke('m', 'public')},
	'owner_to(text,name)' => q{SELECT moemlora_owner_to('m', current_user)});

is(join("\n", sort keys %reads, keys %writes), join("\n", functions($primary)), 'every function of the extension is tried');
foreach my $function (sort keys %reads)
{
	my $answer = sql($standby, $reads{$function});

	isnt($answer, '', "$function answers");
	is($answer, sql($primary, $reads{$function}), "$function answers as on the primary");
}
like(sql($primary, join '; ', 'BEGIN', (map { $reads{$_} } sort keys %reads), 'SELECT pg_current_xact_id_if_assigned() IS NULL', 'END'),
	qr/^t\z/m, 'none of them writes where it could');
foreach my $function (sort keys %writes)
{
	my ($name) = $function =~ /^(\w+)/;

	refuses($standby, $writes{$function}, '25006', qr/cannot execute moemlora_$name\(\)/, "$function is refused");
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
is(join("\n", map { sql($standby, $reads{$_}) } sort keys %reads), join("\n", map { sql($primary, $reads{$_}) } sort keys %reads),
	'with every function');
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
