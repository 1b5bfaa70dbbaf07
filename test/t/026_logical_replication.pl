# Logical replication of the catalog tables: another server, which may have tables
# of its own and another major version, scores with the models of this one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $publisher = new_server('publisher', streaming => 'logical');
my $subscriber = new_server('subscriber');

# Rows and rights are each server's own; roles go by name.
foreach my $node ($publisher, $subscriber)
{
	make_rows($node, 2000);
	sql($node, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');
}

sub train
{
	my ($model, $seed) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "min_domain_rows": 10, "method": "mlora", "serve": "own", "seed": $seed}')};
}

# As the README has it.
my ($publish, $subscribe, @take_over) = readme('Standby and replication');
my $connection = $publisher->connstr . ' dbname=postgres';
my $scores = q{SELECT string_agg(float4send(moemlora_predict('m', place, s))::text, '' ORDER BY id) FROM shown AS s};
my $wait = 'SELECT count(*) = 8 AND bool_and(srsubstate IN ($$r$$, $$s$$)) FROM pg_subscription_rel';

sql($publisher, train('m', 1), user => 'alice');
sql($publisher, train('gone', 1), user => 'alice');
sql($publisher, $publish);
sql($subscriber, $subscribe =~ s/CONNECTION '.*?'/CONNECTION '$connection'/r);
ok($subscriber->poll_query_until('postgres', $wait), 'the tables have come over');

sub caught_up
{
	$publisher->wait_for_catchup('models');
	return;
}

sub is_same
{
	my ($after) = @_;

	caught_up();
	is(catalog($subscriber), catalog($publisher), "$after: all tables are the same");
	is(sql($subscriber, $scores), sql($publisher, $scores), "$after: scores are the same bits");
	return;
}

is_same('at first');

# Whoever owns a model or was granted it there has the same right here.
my $predict = q{SELECT moemlora_predict('m', 'place 1', '{"user_id": 7}') IS NOT NULL};

is(sql($subscriber, $predict, user => 'alice'), 't', 'the owner scores');
refuses($subscriber, $predict, '42501', qr/permission denied for model "m"/, 'a stranger does not', user => 'bob');
sql($publisher, q{SELECT moemlora_grant('m', 'bob')}, user => 'alice');
caught_up();
is(sql($subscriber, $predict, user => 'bob'), 't', 'but once it is granted there');
sql($publisher, q{SELECT moemlora_revoke('m', 'bob')}, user => 'alice');
caught_up();
refuses($subscriber, $predict, '42501', qr/permission denied for model "m"/, 'and no more after it is revoked', user => 'bob');

# A session there follows what happens here, each time as a whole.
my $reader = Moemlora::Session->new($subscriber);
my $seen = $reader->ask($scores);

foreach my $change ([ 'a training', train('m', 2) ], [ 'a promotion', q{SELECT moemlora_promote('m', 1)} ],
	[ 'another training', train('m', 3) ], [ 'a rollback', q{SELECT moemlora_rollback('m')} ])
{
	my ($name, $query) = @$change;

	sql($publisher, $query, user => 'alice');
	is_same($name);
	my $now = $reader->ask($scores);

	isnt($now, $seen, "$name: a session sees other scores");
	is($now, sql($publisher, $scores), "$name: those of the publisher");
	$seen = $now;
}
$reader->send(q{DO $$ BEGIN WHILE (SELECT current_version < 6 FROM moemlora.models WHERE name = 'm') LOOP
	PERFORM moemlora_predict('m', 'place 1', '{"user_id": 7}'); COMMIT; END LOOP; END $$});
sql($publisher, train('m', $_), user => 'alice') foreach 4 .. 6;
$reader->wait;
is($reader->errors, '', 'while versions arrive, every statement finds one');
sql($publisher, $_) foreach q{SELECT moemlora_prune('m', 1)}, q{SELECT moemlora_drop('gone')},
  q{SELECT moemlora_rename('m', 'n'), moemlora_owner_to('n', 'bob')};
is_same('prune, drop, rename and a new owner') if $scores =~ s/'m'/'n'/;
is(sql($subscriber, 'SELECT string_agg(name || $$ $$ || owner, $$, $$) FROM moemlora.models'), 'n bob', 'and nothing else is left');
$reader->close;

# Numbers come from sequences, which are not replicated: who trains there gets in the way of the publisher, and is told so.
refuses($subscriber, train('own', 1), '23505', qr/duplicate key value violates unique constraint "model_pkey"/,
	'a training at the subscriber meets numbers that are taken');

# When it takes over, they are set once.
sql($subscriber, $_) foreach @take_over;
is(sql($subscriber, train('own', 1)), 't', 'after it took over, it trains a new model');
is(sql($subscriber, train('n', 9), user => 'bob'), 't', 'and a version of one that came over');
is(sql($subscriber, q{SELECT string_agg(name || ' ' || current_version, ', ' ORDER BY name) FROM moemlora.models}),
	'n 7, own 1', 'whose numbers go on');

finish($publisher, $subscriber);
