# A cancel in any phase of training comes through at once and leaves nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Cancel;
use Test::More;

my $node = new_server('cancel_phases');

prepare_cancels($node);
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT (i * 7919::bigint % 2000)::int AS user_id, (i * 104729::bigint % 1500)::int AS item_id,
		   (i % 101)::real AS price, 'place ' || i % 7 AS place, hashint4(i) % 3 = 0 AS clicked
	FROM generate_series(1, 200000) AS i;
});

# The network of the defaults; one epoch, so that a late phase is soon reached.
sub training
{
	my ($options, $rows) = @_;

	return qq{
		SELECT phase, seconds FROM moemlora_train('m', '(SELECT * FROM shown LIMIT $rows)', 'clicked', 'place', NULL,
			'{"epochs": 1}'::jsonb || '$options')
	};
}

# Phase, options, rows.
my @phases = (
	[ 'backbone', '{"recipe": "paper"}', 200000 ],
	[ 'joint', '{"recipe": "joint"}', 100000 ],
	[ 'gated', '{"recipe": "gated"}', 100000 ],
	[ 'experts', '{"recipe": "paper", "hidden": [128, 64]}', 60000 ],
	[ 'gate', '{"recipe": "paper", "hidden": [128, 64]}', 60000 ],
	[ 'finetune', '{"recipe": "paper", "hidden": [64], "gate": "input", "finetune": true}', 60000 ],
	[ 'joint', '{"method": "mlora", "hidden": [512, 512], "batch_size": 8192}', 100000 ]);

my $before = catalog($node);

foreach my $case (@phases)
{
	my ($phase, $options, $rows) = @$case;

	# How long the phase takes here, on rows of which nothing is kept.
	my ($seconds) =
	  sql($node, 'BEGIN; ' . training($options, $rows) . '; ROLLBACK') =~ /^$phase\|([0-9.]+)$/m;

	cancel_often(
		$node, training($options, $rows), in_phase($phase),
		within => 0.8 * $seconds,
		name => "cancel in phase $phase of $options");
}
is(catalog($node), $before, 'nothing was stored');
is(sql($node, q{SELECT count(*) FROM moemlora.models}), '0', 'there is no model');
is(sql($node, q{SELECT count(*) FROM moemlora.progress}), '0', 'and no progress');
cmp_ok(sql($node, 'SELECT count(*) FROM (' . training('{"method": "backbone"}', 1000) . ') AS t'), '>', 0,
	'the next training works');

finish($node);
