# Trains on clicks drawn from a known model and asks whether the models learned
# it, on fresh rows.
#
# The thresholds stand well off what was seen with four seeds of the data: WAUC
# of the backbone .753 to .756, of mlora and moe_mlora .018 to .028 above it;
# where places are alike, moe_mlora .002 below to .001 above.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('learning');
my $columns = 'user_id, item_id, price, place, clicked';

plant_clicks($node);

# A small tower, so that it cannot learn all places by heart.
sub train
{
	my ($model, $rows, $options) = @_;

	return sql(
		$node, qq{
		SELECT count(*) FROM moemlora_train('$model', '(SELECT $columns FROM $rows)', 'clicked', 'place', NULL,
			'{"epochs": 40, "patience": 10, "hidden": [8], "embedding_dim": 8, "lora_rank": 4, "learning_rate": 0.01,
			  "dropout": 0, "validation": 0.2}'::jsonb || '$options')
	});
}

# A figure of a model on fresh rows.
sub figure
{
	my ($model, $rows, $which, $where) = @_;

	return sql($node,
		"SELECT round(($which)::numeric, 4) FROM moemlora_evaluate('$model', '$rows', 'clicked', 'place') WHERE $where");
}

# Rows where the same features act differently in each place.
sql(
	$node, q{
	CREATE TABLE differing AS SELECT * FROM clicks(60000, 8, 1, 1);
	CREATE VIEW differing_fit AS SELECT * FROM differing WHERE id <= 40000;
	CREATE TABLE differing_fresh AS SELECT * FROM differing WHERE id > 40000;
});
my $ceiling = sql($node, q{
	SELECT round((sum(n * auc) / sum(n))::numeric, 4)
	FROM (SELECT count(*) AS n, moemlora_auc(p, clicked) AS auc FROM differing_fresh GROUP BY place) AS places
});
my %wauc;

foreach my $method ('backbone', 'mlora', 'moe_mlora')
{
	train($method, 'differing_fit', qq({"method": "$method"}));
	$wauc{$method} = figure($method, 'differing_fresh', 'auc', q(scope = 'weighted'));
	note("WAUC of $method on fresh rows $wauc{$method}, at most $ceiling");
}
cmp_ok($wauc{backbone}, '>=', 0.73, 'the backbone learns');
cmp_ok($wauc{mlora}, '>=', $wauc{backbone} + 0.01, 'where places differ, mlora is better than the backbone');
cmp_ok($wauc{moe_mlora}, '>=', $wauc{backbone} + 0.01, 'and so is moe_mlora');
cmp_ok($wauc{$_}, '<=', $ceiling + 0.005, "$_ knows no more than there is to know") foreach sort keys %wauc;
foreach my $method ('backbone', 'mlora', 'moe_mlora')
{
	my $auc = figure($method, 'differing_fresh', 'auc', q(domain = 'noise'));

	cmp_ok(abs($auc - 0.5), '<=', 0.05, "$method finds nothing in noise");
}
my $calibration = figure('moe_mlora', 'differing_fresh', 'calibration', q(scope = 'all'));
cmp_ok(abs($calibration - 1), '<=', 0.05, 'mean prediction is mean label');

# Rows where all places are alike but for the noise: nothing for experts to add,
# and nothing that they may spoil.
sql(
	$node, q{
	CREATE TABLE alike AS SELECT * FROM clicks(60000, 4, 0, 2);
	CREATE VIEW alike_fit AS SELECT * FROM alike WHERE id <= 40000;
	CREATE TABLE alike_fresh AS SELECT * FROM alike WHERE id > 40000;
});
train('alike_backbone', 'alike_fit', '{"method": "backbone"}');
train('alike_moe', 'alike_fit', '{"method": "moe_mlora"}');
my $backbone = figure('alike_backbone', 'alike_fresh', 'auc', q(scope = 'weighted'));
my $moe = figure('alike_moe', 'alike_fresh', 'auc', q(scope = 'weighted'));
note("places alike: WAUC of backbone $backbone, moe_mlora $moe");
cmp_ok($moe, '>=', $backbone - 0.01, 'where places are alike, moe_mlora is no worse than the backbone');

# A small place gains from the others: alone it has too few rows.
sql(
	$node, q{
	CREATE VIEW alike_one_small AS SELECT * FROM alike WHERE id <= 40000 AND (place <> 'place 1' OR id <= 600);
	CREATE VIEW alike_small_alone AS SELECT * FROM alike WHERE id <= 600 AND place = 'place 1';
});
train('shared', 'alike_one_small', '{}');
train('alone', 'alike_small_alone', '{"min_domain_rows": 10}');
my $shared = figure('shared', 'alike_fresh', 'auc', q(domain = 'place 1'));
my $alone = figure('alone', 'alike_fresh', 'auc', q(domain = 'place 1'));
note("a place of 150 rows: AUC with the others $shared, alone $alone");
cmp_ok($shared, '>=', $alone + 0.05, 'a small place learns from the others');

finish($node);
