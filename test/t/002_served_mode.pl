# What is served is never worse than the backbone on the validation rows, by AUC
# and by WAUC, nor worse than what the training started from; and what the
# catalog says of a version is what its scores give on those rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

# AUC of scores that agree to 1e-6 only: pairs of almost the same score may change sides.
use constant AUC_ERROR => 1e-4;

my $node = new_server('served_mode');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT own, user_id, item_id, price, place, clicked, CASE WHEN id % 4 = 0 THEN 'valid' ELSE 'train' END AS part
	FROM (VALUES (0.0, 3), (0.7, 4)) AS kind(own, seed), clicks(8000, 5, own, seed);
});

sub train
{
	my ($own, $options) = @_;

	return sql(
		$node, qq{
		SELECT count(*) FROM moemlora_train('m',
			'(SELECT user_id, item_id, price, place, clicked, part FROM shown WHERE own = $own)', 'clicked', 'place', NULL,
			'{"epochs": 6, "patience": 3, "hidden": [16], "embedding_dim": 4, "lora_rank": 2, "learning_rate": 0.01,
			  "split_column": "part"}'::jsonb || '$options')
	});
}

# From here on, $m is the last version, $v what it does on its validation rows.
my $m = q{(SELECT v.* FROM moemlora.version v
	JOIN moemlora.model m ON m.id = v.model_id AND m.current_version = v.number)};

sub on_validation_rows
{
	my ($own) = @_;

	return qq{moemlora_evaluate('m', '(SELECT * FROM shown WHERE own = $own AND part = ''valid'')', 'clicked', 'place')};
}

my %tried = (
	'0.0' => [
		'{"recipe": "paper"}', '{"recipe": "auto"}', '{"recipe": "joint", "learning_rate": 0.3}', '{"method": "mlora"}'
	],
	'0.7' => [
		'{"recipe": "paper"}', '{"recipe": "joint"}', '{"recipe": "gated"}', '{"recipe": "auto"}',
		'{"recipe": "paper", "gate": "input"}', '{"recipe": "auto", "experts_per_domain": 2, "finetune": true}',
		'{"method": "backbone"}'
	]);

foreach my $own (sort keys %tried)
{
	my $v = on_validation_rows($own);

	foreach my $options (@{ $tried{$own} })
	{
		train($own, $options);
		is( sql(
				$node, qq{
				SELECT bool_and(auc >= backbone_auc - 1e-6) FROM $v WHERE scope IN ('all', 'weighted')
			}),
			't', "own share $own, $options: served is not below the backbone, over all rows and by places");
		is( sql(
				$node, qq{
				SELECT a.auc >= a.expert_auc - 1e-6 OR w.expert_auc < w.backbone_auc OR a.expert_auc IS NULL
				FROM $v AS a, $v AS w WHERE a.scope = 'all' AND w.scope = 'weighted'
			}),
			't', "own share $own, $options: nor below the experts, if these are not below the backbone by places");
		is( sql(
				$node, qq{
				SELECT m.valid_auc >= max(p.valid_auc)
				FROM $m AS m JOIN moemlora.phase p ON p.version_id = m.id
				WHERE p.name IN ('backbone', 'joint', 'gated') GROUP BY m.valid_auc
			}),
			't', "own share $own, $options: nor below what a start had reached");
		is( sql(
				$node, qq{
				SELECT bool_and(abs(e.auc - m.valid_auc) < @{[AUC_ERROR]} AND abs(e.logloss - m.valid_logloss) < 1e-5
					AND abs(w.auc - m.valid_wauc) < @{[AUC_ERROR]})
				FROM $v AS e, $v AS w, $m AS m WHERE e.scope = 'all' AND w.scope = 'weighted'
			}),
			't', "own share $own, $options: figures of the version are those of its scores");
		is( sql(
				$node, qq{
				SELECT count(*) || ' ' || bool_and(abs(e.backbone_auc - d.backbone_auc) < @{[AUC_ERROR]}
					AND (e.expert_auc IS NULL) = (d.expert_auc IS NULL)
					AND coalesce(abs(e.expert_auc - d.expert_auc) < @{[AUC_ERROR]}, true)
					AND e.rows = d.valid_rows)
				FROM $v AS e JOIN moemlora.domain d ON d.name = e.domain JOIN $m AS m ON m.id = d.version_id
			}),
			'5 true', "own share $own, $options: and so are those of its domains");
	}
}

# Who asks for a mode gets it.
my $v = on_validation_rows('0.7');
my %mode_is = (
	backbone => 'auc = backbone_auc',
	own => 'auc = expert_auc',
	gate => 'auc <> backbone_auc AND auc <> expert_auc');

foreach my $mode (sort keys %mode_is)
{
	train('0.7', qq({"recipe": "gated", "gate_own_share": 0.4, "serve": "$mode"}));
	is(sql($node, "SELECT bool_and($mode_is{$mode}) FROM $v WHERE scope = 'all'"), 't', "serve $mode serves that mode");
}

finish($node);
