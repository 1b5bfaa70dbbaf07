# Scores are the same bits in another session and after a restart, and a server
# that dies in the middle of a training has stored nothing of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('restart');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS SELECT * FROM clicks(5000, 4, 0.5, 3);
	CREATE TABLE scores (model text, id int, score real);
});

my %options = (
	plain => '{"method": "backbone"}',
	own => '{"method": "mlora", "serve": "own"}',
	gate => '{"recipe": "gated", "serve": "gate"}');
my $predicted = q{
	SELECT model, id, moemlora_predict(model, place, s) AS score
	FROM shown s, unnest(ARRAY['plain', 'own', 'gate']) AS model
};

sub train
{
	my ($model, $source, $options) = @_;

	return qq{SELECT count(*) FROM moemlora_train('$model', '$source', 'clicked', 'place',
		ARRAY['user_id', 'item_id', 'price'], '{"epochs": 2, "hidden": [16, 8], "embedding_dim": 4}'::jsonb || '$options')};
}

# The session that trained fills the table.
my $session = Moemlora::Session->new($node);

$session->ask(train($_, 'shown', $options{$_})) foreach sort keys %options;
$session->ask("INSERT INTO scores $predicted");
is($session->ask('SELECT count(DISTINCT score) > 10000 FROM scores'), 't', 'there are scores');
$session->close;

sub are_same
{
	return sql(
		$node, qq{
		SELECT count(*) || ' ' || bool_and(float4send(s.score) = float4send(p.score))
		FROM scores s JOIN ($predicted) AS p USING (model, id)
	});
}

is(are_same(), '15000 true', 'another session gives the same bits');
sql($node, 'CHECKPOINT');
$node->restart;
is(are_same(), '15000 true', 'so does the server after a restart');

# A session that is terminated leaves nothing, and keeps nobody from the model.
my $endless = '{"epochs": 100000, "patience": 100000, "recipe": "paper"}';
my $before = catalog($node);
my $terminated = Moemlora::Session->new($node);

$terminated->send(train('own', 'shown', $endless));
ok( $node->poll_query_until(
		'postgres', q{SELECT bool_and(pg_terminate_backend(pid)) FROM moemlora.progress WHERE step > 0}),
	'a session is terminated in the middle of a training');
ok( $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $terminated->pid),
	'and gone');
$terminated->abandon;
is(catalog($node), $before, 'nothing of its training is stored');
is(sql($node, 'BEGIN; ' . train('own', 'shown', '{}') . '; ROLLBACK'), '5', 'and the model can be trained at once');

# Immediate shutdown in the middle of the trainings of an old and a new model.
my $observer = Moemlora::Session->new($node);
my @trainings = map { Moemlora::Session->new($node) } 1 .. 3;

$trainings[0]->send(train('own', 'shown', $endless));
$trainings[1]->send(train('new', 'shown', $endless));

# This one has even stored its version, and only has not committed.
$trainings[2]->ask('BEGIN; ' . train('newer', 'shown', '{}'));
ok($observer->ask_until_true('SELECT count(*) = 2 FROM moemlora.progress WHERE step > 0'), 'two trainings run');
sql($node, 'CHECKPOINT');
$node->stop('immediate');
$_->abandon foreach @trainings, $observer;
$node->start;

is(catalog($node), $before, 'after an immediate shutdown nothing of them is stored');
is(are_same(), '15000 true', 'and the scores are the same');
is(sql($node, train('own', 'shown', '{}')), '5', 'the next training works');
is(sql($node, 'SELECT current_version FROM moemlora.models WHERE name = \'own\''), '2', 'as the next version');

# Damaged bytes are noticed, and named.
sql(
	$node, q{
	UPDATE moemlora.component c
	SET data = set_byte(data, octet_length(data) / 2, (get_byte(data, octet_length(data) / 2) + 1) % 256)
	FROM moemlora.version v JOIN moemlora.model m ON m.id = v.model_id
	WHERE v.id = c.version_id AND m.name = 'plain'
});
refuses($node, q{SELECT moemlora_predict('plain', place, s) FROM shown s}, 'XX001', qr/"plain", version 1.*HINT/s,
	'changed bytes are an error');

finish($node);
